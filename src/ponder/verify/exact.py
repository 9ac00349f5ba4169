"""The exact path: a completion's answer and the reference are the same number."""

from __future__ import annotations

from ponder.types import Judgement, Problem, Verdict
from ponder.verify.extract import extract_answer
from ponder.verify.numbers import parse_number, same_number


def verify_exact(problem: Problem, completion_text: str) -> Judgement:
    """Compares as exact fractions, see ``numbers``. A reference that is no number is our error."""
    reference = parse_number(problem.answer)
    if reference is None:
        return Judgement(Verdict.ERROR, None, "the reference answer is not a number")
    extracted = extract_answer(completion_text)
    if extracted.answer is None:
        return Judgement(Verdict.UNPARSABLE, None, extracted.reason)
    number = parse_number(extracted.answer)
    if number is None:
        return Judgement(Verdict.INCORRECT, extracted.answer, "not one number")
    if same_number(reference, number):
        return Judgement(Verdict.CORRECT, extracted.answer)
    return Judgement(Verdict.INCORRECT, extracted.answer, "another number")
