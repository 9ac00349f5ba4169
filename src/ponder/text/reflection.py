"""The ten words by which DeepSeek-R1 counts reflection (arXiv 2501.12948 v2, appendix C.2)."""

from __future__ import annotations

import re

REFLECTIVE_WORDS = (
    "wait",
    "mistake",
    "however",
    "but",
    "retry",
    "error",
    "verify",
    "wrong",
    "evaluate",
    "check",
)

_WORD = re.compile(r"\b(?:" + "|".join(REFLECTIVE_WORDS) + r")\b", re.IGNORECASE)


def count_by_word(text: str) -> dict[str, int]:
    """How often each reflective word stands in the text, as a whole word, in any case.

    Every word of the list is a key. Inflections ("checks", "errors") do not count.
    """
    counts = dict.fromkeys(REFLECTIVE_WORDS, 0)
    for match in _WORD.finditer(text):
        counts[match[0].lower()] += 1
    return counts


def count_reflective_words(text: str) -> int:
    """How many reflective words stand in the text."""
    return sum(1 for _ in _WORD.finditer(text))
