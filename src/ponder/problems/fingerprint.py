"""The identity of a question, and the side of the train / held-out split that follows from it."""

from __future__ import annotations

import hashlib
import unicodedata

HELDOUT_SHARE = 10
"""One question in this many is held out."""


def fingerprint(question: str) -> str:
    """32 hex digits, equal for questions that differ only in case, width and white space."""
    normal = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    return hashlib.sha256(normal.encode()).hexdigest()[:32]


def is_heldout(question: str) -> bool:
    """Whether the question belongs to the held-out tenth. Follows from its fingerprint alone."""
    return int(fingerprint(question)[:8], 16) % HELDOUT_SHARE == 0


def is_in_share(question: str, share: tuple[float, float]) -> bool:
    """Whether the question is in this part of [0, 1), with digits that ``is_heldout`` leaves."""
    low, high = share
    return low <= int(fingerprint(question)[8:16], 16) / 16**8 < high
