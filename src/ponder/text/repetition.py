"""Repetition: how much of a text says again what it has said, and whether it ends in a loop.

Linear in the length of the text, and the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_UNIT = re.compile(
    r"\\[A-Za-z]++|[A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u052f]++(?:['\u2019][A-Za-z]++)*+|[0-9]++|\S"
)
DEFAULT_NGRAM = 20
"""Sound text rarely says so much twice: none of GSM8K's 1,319 solutions is below -0.1 with it, and
1.2 % of MATH-500's, which are full of formulas; with 8 it would be 0.4 % and 16 %."""


def repetition_penalty(text: str, ngram: int = DEFAULT_NGRAM) -> float:
    """Minus the share of n-grams that stood in the text before: in [-1, 0], 0 if none did.

    ``-(1 - distinct / all)`` over the runs of ``ngram`` units, as Open-R1's repetition reward with
    a largest penalty of -1. A unit is a word (case folded) or a number, and otherwise one
    character: a Chinese character, a sign of a formula. A text shorter than one n-gram has 0.
    """
    if ngram < 1:
        raise ValueError(f"ngram = {ngram}: use at least 1")
    units = [match[0].casefold() for match in _UNIT.finditer(text)]
    total = len(units) - ngram + 1
    if total < 1:
        return 0.0
    distinct = len({tuple(units[i : i + ngram]) for i in range(total)})
    return distinct / total - 1.0


@dataclass(frozen=True, slots=True)
class Loop:
    """The end of a text, the same ``period`` characters over and over."""

    period: int
    num_repeats: float


WINDOW_CHARACTERS = 20_000


def ending_loop(text: str, min_repeats: int = 4, min_characters: int = 120) -> Loop | None:
    """The loop that a text ends in, with the longest stretch of it, or None.

    The last characters, at least ``min_characters`` of them, are ``min_repeats`` or more repeats of
    one period; the last may be cut off, as by a token limit. White space counts as one blank, and
    only the last WINDOW_CHARACTERS are looked at. A list that counts up is no loop.
    """
    backwards = " ".join(text[-WINDOW_CHARACTERS:].split())[::-1]
    best: Loop | None = None
    longest = 0
    for length, border in enumerate(_borders(backwards), start=1):
        period = length - border
        is_loop = length >= min_characters and length >= min_repeats * period
        if is_loop and length > longest:
            best, longest = Loop(period, length / period), length
    return best


def _borders(text: Sequence[str]) -> list[int]:
    """For each prefix the longest proper prefix that is also its end (Knuth, Morris, Pratt)."""
    borders = [0] * len(text)
    border = 0
    for place in range(1, len(text)):
        while border and text[place] != text[border]:
            border = borders[border - 1]
        border += text[place] == text[border]
        borders[place] = border
    return borders
