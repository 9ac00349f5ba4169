"""Which answer a completion gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ponder.errors import PonderError
from ponder.text.parsing import has_box, last_boxed, parse_completion
from ponder.verify.math.compare import same
from ponder.verify.math.read import read


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
    return same(read(first), read(second)) is True


_HASHES = re.compile(r"^[ \t]*####(?!#)(.*)", re.MULTILINE)
_ANSWER_LINE = re.compile(
    r"^[ \t>]*\**(?:(?:the |my )?(?:final )?answer(?: is)?|最终答案|答案)\**[ \t]*[:：]\**(.*)",
    re.MULTILINE | re.IGNORECASE,
)


def extract_hashes(text: str) -> Extracted:
    """As ``extract_answer``; where neither box nor element is begun, the last line ``#### 42``."""
    return _by_line(text, _HASHES)


def extract_answer_line(text: str) -> Extracted:
    """As ``extract_answer``; where neither box nor element is begun, the last ``Answer: X``."""
    return _by_line(text, _ANSWER_LINE)


def _by_line(text: str, pattern: re.Pattern[str]) -> Extracted:
    extracted = extract_answer(text)
    after = text.rpartition("</think>")[2].partition("<think>")[0]
    if extracted.answer is not None or has_box(after) or "<answer>" in after:
        return extracted
    lines = pattern.findall(after)
    if not lines:
        return extracted
    answer = lines[-1].strip().strip("*").strip()
    return Extracted(answer) if answer else Extracted(None, "empty answer line")


CONVENTIONS: Mapping[str, Callable[[str], Extracted]] = {
    "box": extract_answer,
    "hashes": extract_hashes,
    "answer_line": extract_answer_line,
}
"""Where a data set's answers stand, by the name in ``Problem.metadata["answer_convention"]``."""


def extract_by(convention: str, text: str) -> Extracted:
    """The answer under a convention; PonderError if there is none of that name."""
    if convention not in CONVENTIONS:
        fix = f"use one of {sorted(CONVENTIONS)}"
        raise PonderError("answer_convention", convention, fix)
    return CONVENTIONS[convention](text)
