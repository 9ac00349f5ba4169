"""Parsing completions: strict about the format, and about which answer was given."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.text.parsing import format_fault, last_boxed, parse_completion

GOOD = " <think> 2 + 2 is 4. </think> <answer> 4 </answer>"


def test_a_completion_in_the_format() -> None:
    parsed = parse_completion(GOOD)
    assert parsed.has_format
    assert (parsed.thought, parsed.answer, parsed.boxed) == ("2 + 2 is 4.", "4", None)
    assert parsed.reason == ""


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.strip(),
        f"\n{GOOD}\n\n",
        "<think>a</think><answer>4</answer>",
        "<think>a < b\n\\boxed{3}</think>\n<answer>\\boxed{4}</answer>",
    ],
)
def test_the_format_is_kept(text: str) -> None:
    assert format_fault(text) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no <think>"),
        ("4", "no <think>"),
        ("<answer>4</answer>", "no <think>"),
        ("a</think><answer>4</answer>", "no <think>"),
        ("<think>a <answer>4</answer>", "no </think>"),
        ("<think>a</think> 4", "no <answer>"),
        ("<think>a</think> <answer>4", "no </answer>"),
        ("<think><think>a</think> <answer>4</answer>", "2 times <think>"),
        ("<think>a</think></think> <answer>4</answer>", "2 times </think>"),
        ("<think>a</think> <answer>4</answer> <answer>4</answer>", "2 times <answer>"),
        ("<think>a</think> <answer>4</answer></answer>", "2 times </answer>"),
        ("<answer>4</answer> <think>a</think>", "tags out of order"),
        ("</think>a<think> <answer>4</answer>", "tags out of order"),
        ("<think>a<answer>4</answer></think>", "tags out of order"),
        ("Well, <think>a</think> <answer>4</answer>", "text before <think>"),
        ("<think>a</think> so <answer>4</answer>", "text between </think> and <answer>"),
        ("<think>a</think> <answer>4</answer>.", "text after </answer>"),
        ("<think> \n</think> <answer>4</answer>", "empty thought"),
        ("<think>a</think> <answer> </answer>", "empty answer"),
        ("<THINK>a</THINK> <answer>4</answer>", "no <think>"),
        ("< think>a</think> <answer>4</answer>", "no <think>"),
    ],
)
def test_the_format_is_broken(text: str, reason: str) -> None:
    parsed = parse_completion(text)
    assert not parsed.has_format
    assert parsed.reason == reason


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so <answer> 4 </answer>", "4"),
        ("<answer>3</answer> no, <answer>4</answer>", "4"),
        ("<answer>3 <answer>4</answer>", "4"),
        ("<answer>3</answer> no, <answer>4", None),
        ("4</answer>", None),
        ("<answer>4", None),
        ("<think><answer>3</answer></think> 4", None),
        ("<think><answer>3</answer></think> <answer>4</answer>", "4"),
        ("<think> never closed <answer>4</answer>", "4"),
        ("<answer></answer>", ""),
    ],
)
def test_the_answer_is_the_last_complete_element_after_the_thought(
    text: str, answer: str | None
) -> None:
    assert parse_completion(text).answer == answer


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"\boxed{4}", "4"),
        (r"<think>\boxed{3}</think> \boxed{4}", "4"),
        (r"<think>\boxed{3}</think> 4", None),
        (r"<think> never closed \boxed{3}", None),
        (r"prefilled \boxed{3}</think> \boxed{4}", "4"),
        (r"\boxed{4} <answer>\boxed{5}</answer>", "4"),
        (r"<answer>\boxed{5}</answer>", None),
        (r"\boxed{4} <answer> 5", None),
    ],
)
def test_the_box_stands_after_the_thought_and_outside_the_answer(
    text: str, boxed: str | None
) -> None:
    assert parse_completion(text).boxed == boxed


def test_the_thought() -> None:
    assert parse_completion("<think> a <think> b </think> c </think> 4").thought == (
        "a <think> b </think> c"
    )
    assert parse_completion("put in by the prompt</think> 4").thought == "put in by the prompt"
    assert parse_completion("<think> cut off").thought is None


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{7}. Hope this helps with the 12 apples!", "7"),
        (r"\boxed{1} \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\}}", r"\}"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\boxed{ \fbox{ \boxed{7} } }", "7"),
        (r"\boxed{\boxed{7} or 8}", r"\boxed{7} or 8"),
        (r"\boxed{\boxed{7}", None),
        (r"\boxed{3 I mean \boxed{7}", None),
        (r"\boxed{7", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed{3} ... \boxed{", None),
        (r"\boxed{3} ... \boxed{4", None),
        (r"\boxed{3} ... \boxed", None),
        (r"{ \boxed{5}", "5"),
        (r"\boxed{5}}", "5"),
        (r"} \boxed{5}", "5"),
        (r"\fbox{\frac12}", r"\frac12"),
        (r"\boxed {5}", "5"),
        (r"\boxed 5", "5"),
        (r"$\boxed -2.5$", "-2.5"),
        (r"\boxed 5.", "5"),
        (r"\boxed 5x", None),
        (r"\boxed 5/6", None),
        (r"\boxed x", None),
        (r"\boxedtext{5}", None),
        ("boxed{5}", None),
        ("the answer is 7", None),
        (r"\boxed{}", ""),
        ("", None),
    ],
)
def test_last_boxed(text: str, content: str | None) -> None:
    assert last_boxed(text) == content


PIECES = st.sampled_from(
    ["<think>", "</think>", "<answer>", "</answer>", "\\boxed{", "\\fbox", "{", "}", "\\", " ", "4"]
)


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_parsing_never_raises_and_agrees_with_itself(text: str) -> None:
    parsed = parse_completion(text)
    assert parsed.has_format == (parsed.reason == "")
    if parsed.has_format:
        assert parsed.thought
        assert parsed.answer


GARBAGE = [
    "x",
    "{",
    "}",
    "\\",
    " ",
    "1",
    "\\boxed{",
    "\\boxed ",
    "\\boxed{}",
    "\\boxed 1",
    "<think>",
    "</think>",
    "<answer>",
    "<answer></answer>",
    "</answer>",
    "<think></think><answer>\\boxed{1}</answer>",
]


def seconds(text: str) -> float:
    start = time.perf_counter()
    parse_completion(text)
    last_boxed(text)
    return time.perf_counter() - start


@pytest.mark.parametrize("piece", GARBAGE)
def test_time_is_linear_in_garbage(piece: str) -> None:
    """100,000 characters take milliseconds; quadratic code takes minutes for some of these."""
    assert seconds(piece * (100_000 // len(piece))) < 0.5


def test_time_is_linear_in_nesting() -> None:
    assert seconds("\\boxed{" * 12_500 + "7" + "}" * 12_500) < 0.5
    assert last_boxed("\\boxed{" * 12_500 + "7" + "}" * 12_500) == "7"
    assert seconds("{" * 50_000 + "}" * 50_000) < 0.5
