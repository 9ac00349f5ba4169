"""Fingerprints and the side of the split that follows from them."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.problems.fingerprint import fingerprint, is_heldout


def test_fingerprint_by_hand() -> None:
    assert fingerprint("  What is\n2 + 2? ") == hashlib.sha256(b"what is 2 + 2?").hexdigest()[:32]


def test_case_width_and_white_space_make_no_difference() -> None:
    same = ["What is 2 + 2?", "what  is 2 + 2?\n", "WHAT IS\t2 + 2?", "What is ２ + ２？"]
    assert len({fingerprint(question) for question in same}) == 1
    assert fingerprint("What is 2 + 3?") != fingerprint(same[0])
    assert fingerprint("What is 2 - 2?") != fingerprint(same[0])


@settings(deadline=None)
@given(st.text(max_size=50))
def test_normalising_twice_changes_nothing(question: str) -> None:
    assert fingerprint(f" {question}\n") == fingerprint(question)
    assert is_heldout(f"{question}  ") == is_heldout(question)


def test_a_tenth_is_held_out() -> None:
    share = sum(is_heldout(f"question {i}") for i in range(10_000)) / 10_000
    assert 0.09 < share < 0.11
