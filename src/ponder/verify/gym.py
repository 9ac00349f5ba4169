"""reasoning-gym's own scorers, trusted only as far as they deserve.

Only a score of exactly 1.0 is correct. A scorer that raises is a verdict ``error``. Where a scorer
would ``eval`` the model's text or is known to give credit too freely, a check of ours replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from ponder.types import Judgement, Problem, Verdict
from ponder.verify.arithmetic import evaluate
from ponder.verify.extract import extract_answer
from ponder.verify.gym_entries import GymEntryError, gym_dataset, gym_entry, has_default_scorer
from ponder.verify.numbers import parse_number, same_number

MAX_ANSWER_CHARACTERS = 10_000
CHEAP_TASKS = {"products", "chain_sum", "decimal_chain_sum", "knights_knaves"}
"""Tasks with a scorer of their own that was read and found cheap (reasoning-gym 0.1.25)."""
_HUGE_EXPONENT = re.compile(r"[0-9.][eE][-+]?[0-9]{4}")


def verify_gym(problem: Problem, completion_text: str) -> Judgement:
    """Judges by the scorer of ``problem.metadata``'s task, on the rebuilt entry.

    The metadata has ``task``, ``settings`` (canonical JSON text), ``seed`` and ``index``, and
    ``question_in_english`` where the problem is asked in another language.
    """
    extracted = extract_answer(completion_text)
    if (answer := extracted.answer) is None:
        return Judgement(Verdict.UNPARSABLE, None, extracted.reason)
    if len(answer) > MAX_ANSWER_CHARACTERS or _HUGE_EXPONENT.search(answer):
        return Judgement(Verdict.INCORRECT, answer, "answer too long or too large")
    where = problem.metadata
    try:
        entry = gym_entry(where["task"], where["settings"], where["seed"], where["index"])
    except (GymEntryError, KeyError, TypeError) as error:
        return Judgement(Verdict.ERROR, answer, f"no entry to score against: {error!r}")
    if entry["question"] != where.get("question_in_english", problem.question):
        return Judgement(Verdict.ERROR, answer, "the rebuilt entry is another problem")
    try:
        is_correct = _is_correct(where["task"], where["settings"], where["seed"], answer, entry)
    except Exception as error:  # noqa: BLE001 - a scorer may raise anything; that is our fault
        return Judgement(Verdict.ERROR, answer, f"the scorer raised {type(error).__name__}")
    if is_correct:
        return Judgement(Verdict.CORRECT, answer)
    return Judgement(Verdict.INCORRECT, answer, f"not a full score of {where['task']}")


def is_cheap(problem: Problem) -> bool:
    """Whether the scorer of the problem's task only compares short texts or numbers."""
    task = problem.metadata.get("task")
    if not isinstance(task, str):  # from a file of the user's; the worker says what is wrong
        return False
    return task in OWN_CHECKS or task in CHEAP_TASKS or has_default_scorer(task)


def _is_correct(task: str, settings: str, seed: int, answer: str, entry: dict[str, Any]) -> bool:
    if task in OWN_CHECKS:
        return OWN_CHECKS[task](answer, entry)
    dataset = gym_dataset(task, settings, seed)
    return float(dataset.score_answer(answer=answer, entry=deepcopy(entry))) == 1.0


def _same_text(answer: str, entry: Mapping[str, Any]) -> bool:
    return bool(answer.strip() == entry["answer"].strip())


def _same_value(answer: str, entry: Mapping[str, Any]) -> bool:
    number, reference = parse_number(answer), parse_number(entry["answer"])
    return number is not None and reference is not None and same_number(number, reference)


def _same_letters(answer: str, entry: Mapping[str, Any]) -> bool:
    return bool("".join(answer.split()).lower() == "".join(entry["answer"].split()).lower())


def _same_factors(answer: str, entry: Mapping[str, Any]) -> bool:
    return _factors(answer) is not None and _factors(answer) == _factors(entry["answer"])


def _factors(text: str) -> list[int] | None:
    factors = [factor.strip() for factor in re.split(r"[×x*]", text)]
    is_plain = all(re.fullmatch(r"[0-9]{1,20}", factor) for factor in factors)
    return sorted(map(int, factors)) if is_plain else None


def _reaches(answer: str, entry: Mapping[str, Any], target: int) -> bool:
    """The expression equals the target and uses each given number exactly once."""
    found = evaluate(answer)
    numbers = sorted(entry["metadata"]["numbers"])
    return found is not None and found.value == target and sorted(found.integers) == numbers


OWN_CHECKS: Mapping[str, Callable[[str, Mapping[str, Any]], bool]] = {
    # their scorers eval() an answer that differs from the reference
    "binary_matrix": _same_text,
    "spiral_matrix": _same_text,
    "string_insertion": _same_text,
    "n_queens": lambda answer, entry: answer in entry["metadata"]["valid_answers"],
    # theirs parse by eval, compare within 1e-5, and puzzle24's ignores which numbers were given
    "countdown": lambda answer, entry: _reaches(answer, entry, entry["metadata"]["target"]),
    "puzzle24": lambda answer, entry: _reaches(answer, entry, 24),
    # theirs raises on any text that is no list of numbers
    "prime_factorization": _same_factors,
    # theirs takes the first number of any text
    "gsm_symbolic": _same_value,
    # theirs gives 1.0 for ten right letters of a longer word
    "figlet_font": _same_letters,
}
"""Tasks whose scorer is replaced: answer, entry -> is it correct."""
