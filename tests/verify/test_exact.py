"""The exact verifier: extraction and verdicts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.types import Problem, Verdict
from ponder.verify.exact import verify_exact
from ponder.verify.extract import extract_answer
from ponder.verify.verifiers import reference_fault

FIVE = Problem("p", "2+3?", "5")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" <think> t </think> <answer> 5 </answer>", "5"),
        ("<answer>5</answer>", "5"),
        (r"<answer>The answer is \boxed{5}.</answer>", "5"),
        (r"<think>\boxed{4}</think> \boxed{5}", "5"),
        (r"<think>\boxed{4}</think> <answer>5</answer>", "5"),
        (r"so \boxed{5} <answer>5</answer>", "5"),
        (r"so \boxed{5} <answer>5.0 apples</answer>", "5.0 apples"),
        ("<answer>4</answer> wait <answer>5</answer>", "5"),
        (r"\boxed{4} \boxed{5}", "5"),
    ],
)
def test_extraction(text: str, answer: str) -> None:
    assert extract_answer(text).answer == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no answer"),
        ("5", "no answer"),
        ("The answer is 5.", "no answer"),
        ("#### 5", "no answer"),
        (r"<think>\boxed{5}</think> 5", "no answer"),
        ("<think>t</think> <answer>5", "no answer"),
        ("<answer>5</answer> no, <answer>", "no answer"),
        (r"\boxed{5} <answer>", "no answer"),
        (r"\boxed{5} and \boxed{", "no answer"),
        (r"<answer>\boxed{5} and \boxed{5</answer>", "unfinished box"),
        ("<answer> </answer>", "empty answer"),
        (r"<answer>5 \boxed{}</answer>", "empty answer"),
        (r"\boxed{}", "empty box"),
        (r"\boxed{4} <answer>5</answer>", "two different answers"),
    ],
)
def test_no_answer(text: str, reason: str) -> None:
    extracted = extract_answer(text)
    assert (extracted.answer, extracted.reason) == (None, reason)
    judgement = verify_exact(FIVE, text)
    assert (judgement.verdict, judgement.reason) == (Verdict.UNPARSABLE, reason)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("5", Verdict.CORRECT),
        ("5.0", Verdict.CORRECT),
        ("10/2", Verdict.CORRECT),
        ("5 apples", Verdict.CORRECT),
        ("6", Verdict.INCORRECT),
        ("-5", Verdict.INCORRECT),
        ("5.0001", Verdict.INCORRECT),
        ("5 or 6", Verdict.INCORRECT),
        ("five", Verdict.INCORRECT),
        ("2+3", Verdict.INCORRECT),
        ("1 2 3 4 5", Verdict.INCORRECT),
    ],
)
def test_verdicts(answer: str, verdict: Verdict) -> None:
    assert verify_exact(FIVE, f"<think> t </think> <answer> {answer} </answer>").verdict is verdict
    assert verify_exact(FIVE, rf"<think> t </think> So \boxed{{{answer}}}.").verdict is verdict


def test_a_reference_that_is_no_number_is_our_error() -> None:
    problem = Problem("p", "q", "x + 1")
    judgement = verify_exact(problem, "<answer>x + 1</answer>")
    assert judgement.verdict is Verdict.ERROR
    assert "reference" in judgement.reason
    assert reference_fault(problem) == judgement.reason
    assert reference_fault(FIVE) == ""


PIECES = st.sampled_from(
    ["<think>", "</think>", "<answer>", "</answer>", r"\boxed{", r"\frac{", "}", "5", " or ", "%"]
)


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_never_raises(text: str) -> None:
    judgement = verify_exact(FIVE, text)
    assert (judgement.answer is None) == (judgement.verdict is Verdict.UNPARSABLE)


@pytest.mark.parametrize("piece", ["x", "5", r"\boxed{5}", "<answer>5</answer>", r"\boxed{", "1,"])
def test_long_garbage_is_judged_quickly(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    start = time.perf_counter()
    verify_exact(FIVE, text)
    verify_exact(FIVE, f"<answer>{text}")
    verify_exact(FIVE, f"<answer>{text}</answer>")
    assert time.perf_counter() - start < 1.0


def test_speed_512_small_completions_in_50_milliseconds() -> None:
    cases = [
        (
            Problem(f"p{i}", f"{i}+{i + 3}?", str(2 * i + 3)),
            f" <think> {i} + {i + 3} = {2 * i + 3}. Wait, check: yes. </think>"
            f" <answer> {2 * i + 3 + i % 2} </answer>",
        )
        for i in range(512)
    ]
    best = min(_seconds(cases) for _ in range(5))
    assert best < 0.05


def _seconds(cases: list[tuple[Problem, str]]) -> float:
    start = time.perf_counter()
    correct = sum(verify_exact(p, text).verdict is Verdict.CORRECT for p, text in cases)
    assert correct == 256
    return time.perf_counter() - start
