"""A verifier of the user's own: ``problems.verifier = "module:function"``.

The function takes ``(problem, completion_text)`` and returns a ``Judgement``, a bool, or a float in
[0, 1], of which only 1.0 is correct. It runs in a killable process.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ponder.errors import PonderError
from ponder.types import Judgement, Problem, Verdict
from ponder.verify.pool import Done, isolated

FIELD = "problems.verifier"
DEADLINE_SECONDS = 10.0
"""For one completion; the first one in a process also waits for the module's import."""


def is_custom(name: str) -> bool:
    """Whether a verifier's name is meant as "module:function"."""
    return ":" in name


def verify_custom(problem: Problem, completion_text: str) -> Judgement:
    """Judges by the function that ``problem.verifier`` names.

    An exception in it, a value of another kind, a crash or more than DEADLINE_SECONDS is the
    verdict ``error``. Raises PonderError where there is no such function.
    """
    folder = os.getcwd()
    load_function(problem.verifier, folder)
    done = isolated(
        "ponder.verify.custom:call",
        problem,
        completion_text,
        folder,
        deadline_seconds=DEADLINE_SECONDS,
    )
    if isinstance(done, Done):
        judgement: Judgement = done.value
        return judgement
    return Judgement(Verdict.ERROR, None, f"{problem.verifier}: {done.kind} {done.detail}".strip())


def call(problem: Problem, completion_text: str, folder: str) -> Judgement:
    """Call the problem's own function here and make a judgement of what it returns.

    ``folder`` is where a module may also lie: a worker's own current directory may be another.
    """
    function = load_function(problem.verifier, folder)
    try:
        value = function(problem, completion_text)
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything; we report it
        reason = f"{problem.verifier} raised {type(error).__name__}: {error}"
        return Judgement(Verdict.ERROR, None, reason[:500])
    return as_judgement(value, problem.verifier)


def as_judgement(value: object, name: str) -> Judgement:
    """What a verifier's return value means; of another kind, it is an error that says so."""
    if isinstance(value, Judgement):
        fault = _fault(value)
        return Judgement(Verdict.ERROR, None, f"{name} returned {fault}") if fault else value
    if isinstance(value, bool):
        return Judgement(Verdict.CORRECT if value else Verdict.INCORRECT)
    if isinstance(value, int | float) and 0 <= value <= 1:
        return Judgement(Verdict.CORRECT if value == 1 else Verdict.INCORRECT, score=float(value))
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    shown = f"{value!r:.60}" if isinstance(value, int | float) else f"a {kind}"
    fix = "a Judgement, a bool or a float in [0, 1]"
    return Judgement(Verdict.ERROR, None, f"{name} returned {shown}; it must return {fix}")


def _fault(judgement: Judgement) -> str:
    """What is wrong with a judgement of a user's; "" if nothing is. Its score becomes a reward."""
    if not isinstance(judgement.verdict, Verdict):
        return f"the verdict {judgement.verdict!r:.60}; it must be a ponder.types.Verdict"
    score = judgement.score
    if score is not None and not (isinstance(score, int | float) and 0 <= score <= 1):
        return f"the score {score!r:.60}; it must be a number in [0, 1] or None"
    if not isinstance(judgement.answer, str | None) or not isinstance(judgement.reason, str):
        return "a Judgement whose answer or reason is no text"
    return ""


@lru_cache(maxsize=64)
def load_function(name: str, folder: str) -> Callable[..., Any]:
    """The function of "module:function", where ``folder`` (the current directory) is importable.

    Raises PonderError that says what is missing: the colon, the module, the function.
    """
    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        raise PonderError(FIELD, name, 'write "module:function", e.g. "my_verifier:verify"')
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        fix = f"importing {module_name} failed ({reason}); is it in {folder} or installed?"
        raise PonderError(FIELD, name, fix) from error
    function = vars(module).get(function_name)
    if function is None:
        functions = [key for key, item in vars(module).items() if callable(item) and key[0] != "_"]
        fix = f"{module_name} has no {function_name}; it has {', '.join(functions) or 'nothing'}"
        raise PonderError(FIELD, name, fix)
    if not callable(function):
        raise PonderError(FIELD, name, f"it is a {type(function).__name__}, no function")
    return function  # type: ignore[no-any-return]
