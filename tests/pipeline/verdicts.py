"""Verifiers for tests: they import nothing, since a worker process imports them for each use."""

from __future__ import annotations


def often(problem: object, text: str) -> bool:
    """What a random model can get right: two thirds of all texts, by their length."""
    return "reference" in text or len(text) % 3 != 0


def seldom(problem: object, text: str) -> bool:
    """What nobody gets right."""
    return "reference" in text


def broken(problem: object, text: str) -> bool:
    """A verifier that fails on all but references."""
    if "reference" in text:
        return True
    raise ValueError("the verifier is broken")
