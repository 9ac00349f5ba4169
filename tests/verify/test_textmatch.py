"""Exact texts and patterns."""

from __future__ import annotations

import time
from typing import Any

from ponder.types import Judgement, Problem, Verdict
from ponder.verify.textmatch import verify_regex, verify_text


def text(reference: str, answer: str, **metadata: Any) -> Verdict:
    problem = Problem("p", "q", reference, "text", metadata)
    return verify_text(problem, f"<answer>{answer}</answer>").verdict


def regex(pattern: str, answer: str) -> Judgement:
    problem = Problem("p", "q", "example", "regex", {"pattern": pattern})
    return verify_regex(problem, f"<answer>{answer}</answer>")


def test_the_same_text() -> None:
    assert text("New York", " New \n York") is Verdict.CORRECT
    assert text("Caf\u00e9", "Cafe\u0301") is Verdict.CORRECT
    assert text("New York", "new york") is Verdict.INCORRECT
    assert text("New York", "new york", ignore_case=True) is Verdict.CORRECT
    assert text("New York", "New York!") is Verdict.INCORRECT
    assert text("NewYork", "New York") is Verdict.INCORRECT
    assert text("10²", "102") is Verdict.INCORRECT
    assert text("  ", "x") is Verdict.ERROR
    assert text("x", "") is Verdict.UNPARSABLE


def test_a_pattern_matches_the_whole_answer() -> None:
    assert regex(r"\d+ apples?", "12 apples").verdict is Verdict.CORRECT
    assert regex(r"\d+ apples?", "12 apples and 3 pears").verdict is Verdict.INCORRECT
    assert regex(r"(?i)paris|rome", "PARIS").verdict is Verdict.CORRECT
    assert regex(r"a|b", "c").verdict is Verdict.INCORRECT
    assert regex(r".*", "x" * 20_000).verdict is Verdict.INCORRECT  # too long
    problem = Problem("p", "q", "[ab]c", "regex")
    assert verify_regex(problem, "<answer>bc</answer>").verdict is Verdict.CORRECT
    assert verify_regex(problem, "bc").verdict is Verdict.UNPARSABLE


def test_a_pattern_that_does_not_compile_is_our_error() -> None:
    found = regex("(", "x")
    assert found.verdict is Verdict.ERROR
    assert "does not compile" in found.reason


def test_catastrophic_backtracking_is_cut() -> None:
    began = time.monotonic()
    found = regex(r"(a+)+b", "a" * 60)
    assert found.verdict is Verdict.ERROR
    assert "timeout" in found.reason
    assert time.monotonic() - began < 10  # 1 s, the respawn, and a busy machine
    assert regex(r"a+", "aaa").verdict is Verdict.CORRECT


def test_a_long_row_of_accents_takes_no_time() -> None:
    began = time.perf_counter()
    accents = "a" + "\u0316\u0301" * 75_000
    assert text("a", accents) is Verdict.INCORRECT
    assert text(accents, accents) is Verdict.CORRECT
    assert time.perf_counter() - began < 1.0
