"""Which answer a completion gives."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.text.parsing import has_box, last_boxed, parse_completion
from ponder.verify.numbers import parse_number, same_number


@dataclass(frozen=True, slots=True)
class Extracted:
    """The answer as text, or None and why there is none."""

    answer: str | None
    reason: str = ""


def extract_answer(text: str) -> Extracted:
    r"""The one answer that a completion commits to. Never raises.

    The last ``<answer>`` element after the last ``</think>``; within it the last ``\boxed{}`` if
    there is one, else its text. Without an element: the last box after the last ``</think>``.
    Nothing is guessed from prose, nothing earlier stands in for an unfinished last element or box,
    and an element that contradicts a box outside it is no answer.
    """
    parsed = parse_completion(text)
    if parsed.answer is None:
        if parsed.boxed is None:
            return Extracted(None, "no answer")
        return Extracted(parsed.boxed) if parsed.boxed else Extracted(None, "empty box")
    answer = last_boxed(parsed.answer) if has_box(parsed.answer) else parsed.answer
    if answer is None:
        return Extracted(None, "unfinished box")
    if not answer:
        return Extracted(None, "empty answer")
    if parsed.boxed is not None and not _agree(parsed.boxed, answer):
        return Extracted(None, "two different answers")
    return Extracted(answer)


def _agree(first: str, second: str) -> bool:
    if first.split() == second.split():
        return True
    one, other = parse_number(first), parse_number(second)
    return one is not None and other is not None and same_number(one, other)
