"""The registry of verifiers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NoReturn

from ponder.errors import PonderError
from ponder.types import BY_MODEL, Judgement, Problem, Verdict, Verifier
from ponder.verify.choice import verify_choice
from ponder.verify.code.verifier import verify_code
from ponder.verify.custom import is_custom, load_function, verify_custom
from ponder.verify.exact import verify_exact
from ponder.verify.gym import verify_gym
from ponder.verify.logic import verify_knights_knaves
from ponder.verify.math.verify import reference_fault as math_fault
from ponder.verify.math.verify import verify_math
from ponder.verify.textmatch import verify_regex, verify_text

VERIFIERS: Mapping[str, Verifier] = {
    "exact": verify_exact,
    "math": verify_math,
    "code": verify_code,
    "gym": verify_gym,
    "choice": verify_choice,
    "knights_knaves": verify_knights_knaves,
    "text": verify_text,
    "regex": verify_regex,
}
"""By the name that ``Problem.verifier`` holds."""

REFERENCE_FAULTS: Mapping[str, Callable[[Problem], str]] = {
    "math": lambda problem: math_fault(problem.answer),
}
"""What to ask a verifier that knows more of a reference than whether it verifies itself."""


def verify(problem: Problem, completion_text: str) -> Judgement:
    """The judgement of the problem's own verifier. Never raises on what a model wrote.

    Raises PonderError if there is no verifier of that name.
    """
    return verifier_named(problem.verifier)(problem, completion_text)


def verifier_named(name: str) -> Verifier:
    """The verifier, or PonderError with the names that there are.

    "module:function" is a verifier of the user's own; one of BY_MODEL raises when it is called, for
    only a run that has opened the model can ask it (``VerifierPool``).
    """
    if name in BY_MODEL:
        return refuse_model
    if is_custom(name):
        load_function(name, os.getcwd())  # a mistake is told before the first completion
        return verify_custom
    if name not in VERIFIERS:
        fix = f'use one of {sorted((*VERIFIERS, *BY_MODEL))}, or "module:function" for your own'
        raise PonderError("problems.verifier", name, fix)
    return VERIFIERS[name]


def refuse_model(problem: Problem, completion_text: str) -> NoReturn:
    """Raise PonderError: the model that judges such problems is not open."""
    name = problem.verifier
    fix = f"no such model is open here: an RL run opens it (preference.{name}, or [judge])"
    raise PonderError("problems.verifier", name, fix)


def reference_fault(problem: Problem) -> str:
    """Why the problem's own reference answer is no good, or "" if it is (or nobody can say)."""
    if problem.verifier in BY_MODEL:
        return ""
    if problem.verifier in REFERENCE_FAULTS:
        return REFERENCE_FAULTS[problem.verifier](problem)
    text = f"<think> reference </think> <answer> {problem.answer} </answer>"
    judgement = verify(problem, text)
    if judgement.verdict is Verdict.CORRECT:
        return ""
    return judgement.reason or judgement.verdict.value
