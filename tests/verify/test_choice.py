"""Multiple choice: what counts as naming an option, and what does not."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.types import Problem, Verdict
from ponder.verify.choice import LETTERS, gold_letter, read_choice, verify_choice

NUMBERS = ["7", "41", "42", "43.5"]
CITIES = ["Paris", "Rome, Italy", "the city of A and B", "Bern."]


def judge(
    text: str, gold: str = "C", choices: list[str] | None = NUMBERS, **metadata: Any
) -> Verdict:
    known = {} if choices is None else {"choices": choices}
    return verify_choice(Problem("p", "q", gold, "choice", known | metadata), text).verdict


@pytest.mark.parametrize(
    "answer",
    [
        "C", "(C)", "C.", "C)", "[C]", "**C**", "**C)** 42", r"\text{C}", r"$\text{(C)}$", "C) 42",
        "C. 42", "C: 42", "(C) 42", "(C) 42.", "C 42", "option C", "Option (C)", "choice C", "Ｃ",
        "（Ｃ）", "c", "(c)", "42", "42.0", r"$42$", r"\boxed{C}", r"\boxed{\text{C}}", "42 (C)",
        "The answer is C", "the correct answer is (C).", "the answer is option C", "答案：C", "选C",
        "C、42", "$C$", r"\textbf{(C) } 42", r"\textbf{(C)}\ 42", r"(C)~\text{42}", "\n C \n",
    ],
)  # fmt: skip
def test_accepted(answer: str) -> None:
    assert judge(f"<think> A? </think> <answer> {answer} </answer>") is Verdict.CORRECT


@pytest.mark.parametrize(
    "answer",
    [
        "A",
        "A and C", "C and D", "A or C", "C or D", "C/D", "C, D", "AC", "CC", "E", "K", "C) 41",
        "41 (C)", "C 43.5", "not C", "C is wrong", "C?", "I think C", "C because it is 42",
        "41, 42",
        "Cat", "42 or 41", "", "(C", "C) or D)", "both C) 42 and D) 43.5", "C" * 3000,
    ],
)  # fmt: skip
def test_not_accepted(answer: str) -> None:
    assert judge(f"<answer> {answer} </answer>") is not Verdict.CORRECT
    assert judge(f"<answer> {answer} </answer>") is not Verdict.ERROR


def test_text_of_an_option() -> None:
    assert judge("<answer>rome,  ITALY</answer>", "B", CITIES) is Verdict.CORRECT
    assert judge("<answer>Rome</answer>", "B", CITIES) is Verdict.INCORRECT
    assert judge("<answer>the city of A and B</answer>", "C", CITIES) is Verdict.CORRECT
    assert judge("<answer>C) the city of A and B</answer>", "C", CITIES) is Verdict.CORRECT
    assert judge("<answer>D. Bern</answer>", "D", CITIES) is Verdict.CORRECT
    assert judge("<answer>D. Paris</answer>", "D", CITIES) is Verdict.INCORRECT


def test_case_counts_where_options_differ_by_it() -> None:
    choices = ["5 mW", "5 MW"]
    assert judge("<answer>5 MW</answer>", "B", choices) is Verdict.CORRECT
    assert judge("<answer>5 mW</answer>", "B", choices) is Verdict.INCORRECT


def test_a_text_that_two_options_have_names_neither() -> None:
    assert read_choice("5", ["5", "5"]) is None
    assert read_choice("1/2", ["0.5", "50%"]) is None
    assert read_choice("5", ["5 cm", "5 m"]) is None
    assert read_choice("A) 5", ["5", "5"]) == "A"


def test_a_letter_is_a_letter_also_where_it_is_an_options_text() -> None:
    assert read_choice("C", ["C", "H", "O"]) == "C"
    assert read_choice("H", ["C", "H", "O"]) == "B"
    assert read_choice("A", ["B", "A"]) == "A"
    assert read_choice("c", ["c", "2c", "3c"]) == "A"  # but a small one is first of all a text
    assert read_choice("c", ["x", "2c", "3c"]) == "C"


def test_without_choices_the_letter_stands_alone_or_before_a_number() -> None:
    for answer in ("C", "(C)", "C) 42", "option C"):
        assert judge(f"<answer>{answer}</answer>", choices=None) is Verdict.CORRECT
    for answer in ("C) or D)", "C but maybe D", "42", "C, D"):
        assert judge(f"<answer>{answer}</answer>", choices=None) is Verdict.INCORRECT


def test_the_reference_may_be_letter_index_or_text() -> None:
    assert gold_letter("C", NUMBERS) == "C"
    assert gold_letter("2", NUMBERS) == "C"
    assert gold_letter("42", NUMBERS) == "C"
    assert gold_letter("Paris", CITIES) == "A"
    assert gold_letter("1", ["0", "1", "2"]) == "B"
    assert gold_letter("1", ["1", "2", "3"]) is None  # index or text?
    assert gold_letter("E", NUMBERS) is None
    assert gold_letter("9", NUMBERS) is None
    assert gold_letter("Oslo", CITIES) is None
    assert judge("<answer>C</answer>", gold="E") is Verdict.ERROR


@pytest.mark.parametrize(
    "text",
    [
        "Answer: C", "So the answer is (C).", "**Answer: C**", "Answer: C) 42", "The answer is 42.",
        "答案：C", "答案是C。", "故选C", "所以应选 C。", "选C", "The correct answer is option C",
        "<think>Answer: A</think> So it is not A.\nAnswer: C", "Answer: C\nYes. The answer is C.",
        "**Final Answer**: C", "**Answer:** C", "故选：C", "故选: C。", "Answer: C. 42",
        "It can't be A, so the answer is C.", "If I'm right, the answer is C.",
        "It is not A\nAnswer: C", "The answer is C. It is 42 because 41 + 1 = 42.",
        "不正确的选项是C",
    ],
)  # fmt: skip
def test_answer_lines_where_the_data_set_has_them(text: str) -> None:
    assert judge(text, answer_convention="answer_line") is Verdict.CORRECT
    assert judge(text) is Verdict.UNPARSABLE


@pytest.mark.parametrize(
    "text",
    [
        "Answer: A\nAnswer: C", "<think>Answer: C", "<think>Answer: C</think> hm", "C",
        r"\boxed{A} Answer: C", "<answer>A</answer> Answer: C", "Answer: A or C",
        "<answer> Answer: C",
        "The answer is not C", "Answer: C, I mean D", "The answer is C. The answer is D.",
        "Answer: C. D", "Answer: C. 41", "I don't think the answer is C", "the wrong answer is C",
        "It isn't true that the answer is C.", "If the answer is C", "不应选C", "答案不是C",
    ],
)  # fmt: skip
def test_answer_lines_that_do_not_count(text: str) -> None:
    assert judge(text, answer_convention="answer_line") is not Verdict.CORRECT


@given(st.text(alphabet=LETTERS + "ab()[].:, $*{}\\42optin", max_size=30))
def test_never_two_letters(answer: str) -> None:
    """What is read is an option, and a completion that names a second letter names none."""
    letter = read_choice(answer, NUMBERS)
    assert letter is None or letter in "ABCD"
    for other in "ABCD":
        if letter and other != letter:
            assert read_choice(f"{answer} and {other}", NUMBERS) is None


@given(st.text(max_size=200), st.sampled_from("ABCD"))
def test_no_completion_without_an_answer_is_correct(text: str, gold: str) -> None:
    assert judge(text.replace("\\", "").replace("<", ""), gold) is Verdict.UNPARSABLE


@pytest.mark.parametrize(
    "unit",
    ["\n", "Answer: C\n", "answer ", "答案", "(", "$", "\\text{", "C ", "**", "not answer is "],
)
def test_hostile_texts_take_no_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    began = time.perf_counter()
    for completion in (text, f"<answer>{text}</answer>", f"<answer>{text[:1_990]}</answer>"):
        judge(completion, answer_convention="answer_line")
    judge("answer" + " " * 100_000, answer_convention="answer_line")
    many = "".join(f"Answer: {number}\n" for number in range(10_000))
    assert judge(many, answer_convention="answer_line") is Verdict.UNPARSABLE
    assert time.perf_counter() - began < 1.0
