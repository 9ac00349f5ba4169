"""Answers that are text: the same text, or text that the problem's pattern matches."""

from __future__ import annotations

import re
import unicodedata

from ponder.types import Judgement, Problem, Verdict
from ponder.verify.extract import extract_answer
from ponder.verify.pool import Done, isolated

MAX_ANSWER_CHARACTERS = 10_000
"""Of what a pattern is held against, and of what is composed: both may be quadratic."""
PATTERN_SECONDS = 1.0


def verify_text(problem: Problem, completion_text: str) -> Judgement:
    """Equal but for white space and Unicode composition; ``metadata["ignore_case"]``: and case."""
    extracted = extract_answer(completion_text)
    if extracted.answer is None:
        return Judgement(Verdict.UNPARSABLE, None, extracted.reason)
    ignore_case = bool(problem.metadata.get("ignore_case", False))
    reference = normal_text(problem.answer, ignore_case)
    if not reference:
        return Judgement(Verdict.ERROR, extracted.answer, "the reference answer is empty")
    if normal_text(extracted.answer, ignore_case) == reference:
        return Judgement(Verdict.CORRECT, extracted.answer)
    return Judgement(Verdict.INCORRECT, extracted.answer, "another text")


def normal_text(text: str, ignore_case: bool = False) -> str:
    """Composed (NFC), white space as single blanks, trimmed; case folded if it is to be ignored.

    A longer text than MAX_ANSWER_CHARACTERS is not composed.
    """
    normal = " ".join(text.split())
    if len(normal) <= MAX_ANSWER_CHARACTERS:
        normal = unicodedata.normalize("NFC", normal)
    return normal.casefold() if ignore_case else normal


def verify_regex(problem: Problem, completion_text: str) -> Judgement:
    r"""Correct if the problem's pattern matches the whole answer.

    The pattern is ``metadata["pattern"]``, with an example that it matches as ``problem.answer``;
    without one in the metadata the answer itself is the pattern (which as a rule does not match
    itself, so that such a problem is dropped when its reference is verified). Patterns come with
    the problem, never from a model; the match runs in a killable process, and one that takes longer
    than PATTERN_SECONDS is an error.
    """
    extracted = extract_answer(completion_text)
    if (answer := extracted.answer) is None:
        return Judgement(Verdict.UNPARSABLE, None, extracted.reason)
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return Judgement(Verdict.INCORRECT, answer, "answer too long")
    pattern = str(problem.metadata.get("pattern", problem.answer))
    done = isolated(
        "ponder.verify.textmatch:full_match", pattern, answer, deadline_seconds=PATTERN_SECONDS
    )
    if not isinstance(done, Done):
        return Judgement(Verdict.ERROR, answer, f"matching the pattern: {done.kind} {done.detail}")
    is_match, fault = done.value
    if fault:
        return Judgement(Verdict.ERROR, answer, fault)
    if is_match:
        return Judgement(Verdict.CORRECT, answer)
    return Judgement(Verdict.INCORRECT, answer, "the pattern does not match")


def full_match(pattern: str, text: str) -> tuple[bool, str]:
    """Whether the pattern matches the whole text, and what is wrong with the pattern, or ""."""
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return False, f"the pattern of this problem does not compile: {error}"
    return compiled.fullmatch(text) is not None, ""
