"""The registry of verifiers."""

from __future__ import annotations

from collections.abc import Mapping

from ponder.errors import PonderError
from ponder.types import Judgement, Problem, Verdict, Verifier
from ponder.verify.exact import verify_exact
from ponder.verify.gym import verify_gym

VERIFIERS: Mapping[str, Verifier] = {"exact": verify_exact, "gym": verify_gym}
"""By the name that ``Problem.verifier`` holds."""


def verify(problem: Problem, completion_text: str) -> Judgement:
    """The judgement of the problem's own verifier. Never raises on what a model wrote.

    Raises PonderError if there is no verifier of that name.
    """
    return verifier_named(problem.verifier)(problem, completion_text)


def verifier_named(name: str) -> Verifier:
    """The verifier, or PonderError with the names that there are."""
    if name not in VERIFIERS:
        raise PonderError("problems.verifier", name, f"use one of {sorted(VERIFIERS)}")
    return VERIFIERS[name]


def reference_fault(problem: Problem) -> str:
    """Why the problem's own reference answer does not verify, or "" if it does."""
    text = f"<think> reference </think> <answer> {problem.answer} </answer>"
    judgement = verify(problem, text)
    if judgement.verdict is Verdict.CORRECT:
        return ""
    return judgement.reason or judgement.verdict.value
