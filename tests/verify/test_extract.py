"""Which answer a completion commits to, under each convention."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.errors import PonderError
from ponder.verify.extract import CONVENTIONS, extract_answer, extract_by

PIECES = ["<think>", "</think>", "<answer>", "</answer>", r"\boxed{", "}", "{", "5", " ", "\n",
          "#### 7", "Answer: 8", r"\boxed 9", r"\fbox{", "**", "\\"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"First \boxed{3}. Then \boxed{7}.", "7"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\fbox{\frac12}", r"\frac12"),
        (r"\boxed 5", "5"),
        (r"\boxed{5}}", "5"),
        (r"<think>\boxed{4}</think> \boxed{5}", "5"),
        (r"<think>a</think> <answer>x \boxed{5}</answer>", "5"),
        (r"\boxed{\frac{1}{2}} <answer>0.5</answer>", "0.5"),
        (r"\boxed{x+1} <answer>$1+x$</answer>", "$1+x$"),
        (r"\boxed{4} <answer>5</answer>", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed{3} ... \boxed{", None),
        (r"<think>\boxed{4}</think> done", None),
        (r"<answer>4</answer> <answer>5", None),
        ("the answer is 7", None),
    ],
)
def test_boxes_and_elements(text: str, answer: str | None) -> None:
    for convention in CONVENTIONS:
        assert extract_by(convention, text).answer == answer


@pytest.mark.parametrize(
    ("convention", "text", "answer"),
    [
        ("hashes", "3+4\n#### 7", "7"),
        ("hashes", "#### 6\n#### 7\nbye", "7"),
        ("hashes", r"#### 6 and \boxed{7}", "7"),
        ("hashes", "##### 7", None),
        ("hashes", "so #### 7", None),
        ("hashes", "<think>#### 7</think>", None),
        ("hashes", "<think>#### 7", None),
        ("hashes", "#### 7\n####", None),
        ("hashes", "#### 7\n\\boxed{8", None),
        ("hashes", "#### 7\n<answer>8", None),
        ("answer_line", "Answer: 7", "7"),
        ("answer_line", "**Final Answer:** 7", "7"),
        ("answer_line", "答案：7", "7"),
        ("answer_line", "Answer: 6\nAnswer: $7$", "$7$"),
        ("answer_line", "My answer to that: 7", None),
        ("answer_line", "#### 7", None),
        ("box", "#### 7", None),
        ("box", "Answer: 7", None),
    ],
)
def test_lines(convention: str, text: str, answer: str | None) -> None:
    assert extract_by(convention, text).answer == answer


def test_an_unknown_convention_names_the_known() -> None:
    with pytest.raises(PonderError, match="answer_line"):
        extract_by("last_number", "5")


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=80))
def test_never_raises_and_says_why(text: str) -> None:
    for convention in CONVENTIONS:
        extracted = extract_by(convention, text)
        assert extracted == extract_by(convention, text)
        assert bool(extracted.answer) != bool(extracted.reason)


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_extracting_again_from_a_box_changes_nothing(text: str) -> None:
    answer = extract_answer(text).answer
    if answer is not None and not set(answer) & set("\\<{}"):
        assert extract_answer(rf"\boxed{{{answer}}}").answer == answer


@pytest.mark.parametrize("piece", [*PIECES, "####\n", "Answer:\n", "a", " " * 50, "*"])
def test_time_is_linear(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    start = time.perf_counter()
    for convention in CONVENTIONS:
        extract_by(convention, text)
    assert time.perf_counter() - start < 3
