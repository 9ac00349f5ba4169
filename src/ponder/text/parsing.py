r"""What a completion says: its thought, its answer, its last ``\boxed{}``. Never raises.

Everything here is linear in the length of the text, whatever the text is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_UNBRACED_NUMBER = re.compile(r"\s*+(-?\d++(?:\.\d++)?)(?![\w,/{}])")
_NOT_SPACE = re.compile(r"\S")
_ANSWER_TAG = re.compile(r"</?answer>")


@dataclass(frozen=True, slots=True)
class Parsed:
    """The parts of a completion, whitespace stripped; a part that is not there is None.

    Attributes:
        thought: what stands before the last ``</think>`` and after the first ``<think>``, which
            may be missing (chat templates put it into the prompt).
        answer: the last ``<answer>`` element after the last ``</think>``.
        boxed: the last box after the last ``</think>``, outside any ``<answer>`` element and not in
            a thought that was never closed.
        has_format: the whole completion is exactly
            ``<think> thought </think> <answer> answer </answer>``.
        reason: why ``has_format`` is False, or "".
    """

    thought: str | None
    answer: str | None
    boxed: str | None
    has_format: bool
    reason: str


def parse_completion(text: str) -> Parsed:
    """Takes a completion apart; the strict format is not needed for the parts to be found."""
    before, closed, after = text.rpartition("</think>")
    answer, outside = _split_answer(after)
    reason = format_fault(text)
    head, opened, tail = before.partition("<think>")
    return Parsed(
        thought=(tail if opened else head).strip() if closed else None,
        answer=answer,
        boxed=last_boxed(outside.partition("<think>")[0]),
        has_format=not reason,
        reason=reason,
    )


def format_fault(text: str) -> str:
    """Why the text breaks R1-Zero's strict format, or "" if it keeps it.

    The format: each of the four tags exactly once and in order, a thought and an answer that are
    not empty, and nothing but whitespace before, between and after the two elements.
    """
    for tag in _TAGS:
        if (count := text.count(tag)) != 1:
            return f"no {tag}" if count == 0 else f"{count} times {tag}"
    starts = [text.find(tag) for tag in _TAGS]
    if starts != sorted(starts):
        return "tags out of order"
    ends = [start + len(tag) for start, tag in zip(starts, _TAGS, strict=True)]
    if text[: starts[0]].strip():
        return "text before <think>"
    if text[ends[1] : starts[2]].strip():
        return "text between </think> and <answer>"
    if text[ends[3] :].strip():
        return "text after </answer>"
    if not text[ends[0] : starts[1]].strip():
        return "empty thought"
    return "" if text[ends[2] : starts[3]].strip() else "empty answer"


def _split_answer(text: str) -> tuple[str | None, str]:
    """The content of the last ``<answer>`` element, and the text outside all of them.

    An element that is opened last and never closed leaves nothing: there is no falling back to an
    earlier one, nor to a box before it.
    """
    answer: str | None = None
    outside: list[str] = []
    opened: int | None = None
    done = 0
    for tag in _ANSWER_TAG.finditer(text):
        if tag[0] == "<answer>":
            if opened is None:
                outside.append(text[done : tag.start()])
            opened = tag.end()
        elif opened is not None:
            answer = text[opened : tag.start()].strip()
            opened, done = None, tag.end()
    if opened is not None:
        return None, ""
    return answer, "\n".join([*outside, text[done:]])


def has_box(text: str) -> bool:
    """Whether a box is at least begun in the text."""
    return _BOX.search(text) is not None


def last_boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{...}`` or ``\fbox{...}``, braces matched.

    None if there is none, or if the last one is unfinished (never an earlier one instead). A box
    that holds nothing but a box is unwrapped. ``\boxed 5`` counts where a plain number follows.
    """
    partner = _matching_braces(text)
    span: tuple[int, int] | None = None
    end = 0
    for match in _BOX.finditer(text):
        if match.start() < end:
            continue  # inside the box before it
        span = _box_span(text, match.end(), partner)
        if span is None and text.startswith("{", _skip_spaces(text, match.end())):
            return None  # never closed: all the rest is inside
        end = span[1] if span else match.end()
    while span and (inner := _BOX.match(text, span[0], span[1])):
        deeper = _box_span(text, inner.end(), partner)
        if deeper is None or text[deeper[1] + 1 : span[1]].strip():
            break
        span = deeper
    return text[span[0] : span[1]].strip() if span else None


def _box_span(text: str, start: int, partner: dict[int, int]) -> tuple[int, int] | None:
    """Where the content of a box starts (not at a space) and ends; ``start`` is after its name."""
    brace = _skip_spaces(text, start)
    if brace < len(text) and text[brace] == "{":
        close = partner.get(brace)
        return None if close is None else (min(_skip_spaces(text, brace + 1), close), close)
    number = _UNBRACED_NUMBER.match(text, start)
    return number.span(1) if number else None


def _skip_spaces(text: str, start: int) -> int:
    found = _NOT_SPACE.search(text, start)
    return found.start() if found else len(text)


def _matching_braces(text: str) -> dict[int, int]:
    partner: dict[int, int] = {}
    open_braces: list[int] = []
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            open_braces.append(match.start())
        elif match[0] == "}" and open_braces:
            partner[open_braces.pop()] = match.start()
    return partner
