"""Rules that stand for a judge in tests: "tests.pipeline.rules:NAME"."""

from __future__ import annotations

from ponder.text.final import final_answer
from ponder.types import Problem


def even(problem: Problem, completion_text: str) -> float:
    """Whether the answer ends in an even digit: the base does so about half of the time."""
    return float(final_answer(completion_text)[-1:] in "02468")


def harmless(problem: Problem, completion_text: str) -> bool:
    """Whether there is no 7 in the whole text."""
    return "7" not in completion_text


def same(problem: Problem, completion_text: str) -> bool:
    """Everything is good."""
    return True


def broken(problem: Problem, completion_text: str) -> bool:
    """Raises."""
    raise ValueError("by a bug")
