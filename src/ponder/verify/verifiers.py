"""The registry of verifiers."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ponder.errors import PonderError
from ponder.types import Judgement, Problem, Verdict, Verifier
from ponder.verify.choice import verify_choice
from ponder.verify.custom import is_custom, load_function, verify_custom
from ponder.verify.exact import verify_exact
from ponder.verify.gym import verify_gym
from ponder.verify.logic import verify_knights_knaves
from ponder.verify.textmatch import verify_regex, verify_text

VERIFIERS: Mapping[str, Verifier] = {
    "exact": verify_exact,
    "gym": verify_gym,
    "choice": verify_choice,
    "knights_knaves": verify_knights_knaves,
    "text": verify_text,
    "regex": verify_regex,
}
"""By the name that ``Problem.verifier`` holds."""


def verify(problem: Problem, completion_text: str) -> Judgement:
    """The judgement of the problem's own verifier. Never raises on what a model wrote.

    Raises PonderError if there is no verifier of that name.
    """
    return verifier_named(problem.verifier)(problem, completion_text)


def verifier_named(name: str) -> Verifier:
    """The verifier, or PonderError with the names that there are.

    "module:function" is a verifier of the user's own.
    """
    if is_custom(name):
        load_function(name, os.getcwd())  # a mistake is told before the first completion
        return verify_custom
    if name not in VERIFIERS:
        fix = f'use one of {sorted(VERIFIERS)}, or "module:function" for your own'
        raise PonderError("problems.verifier", name, fix)
    return VERIFIERS[name]


def reference_fault(problem: Problem) -> str:
    """Why the problem's own reference answer does not verify, or "" if it does."""
    text = f"<think> reference </think> <answer> {problem.answer} </answer>"
    judgement = verify(problem, text)
    if judgement.verdict is Verdict.CORRECT:
        return ""
    return judgement.reason or judgement.verdict.value
