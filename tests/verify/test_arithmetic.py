"""Exact arithmetic of untrusted text."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.verify.arithmetic import evaluate


@pytest.mark.parametrize(
    ("text", "value", "integers"),
    [
        ("5", Fraction(5), (5,)),
        ("2 + 3 * 4", Fraction(14), (2, 3, 4)),
        ("(2 + 3) * 4", Fraction(20), (2, 3, 4)),
        ("8 - 3 - 2", Fraction(3), (8, 3, 2)),
        ("12 / 3 / 2", Fraction(2), (12, 3, 2)),
        ("1/3 + 1/6", Fraction(1, 2), (1, 3, 1, 6)),
        ("-(2 - 5)", Fraction(3), (2, 5)),
        ("8/(3 - 8/3)", Fraction(24), (8, 3, 8, 3)),
        (" 94*4 - 61 - 6 ", Fraction(309), (94, 4, 61, 6)),
    ],
)
def test_values_by_hand(text: str, value: Fraction, integers: tuple[int, ...]) -> None:
    found = evaluate(text)
    assert found is not None
    assert (found.value, found.integers) == (value, integers)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "()", "2 +", "* 2", "2 3", "(2", "2)", ")(", "2 ** 3", "2 // 3", "2^3", "1/0",
        "1/(2-2)", "2.5", "2,5", "x", "2(3)", "(2)(3)", "5!", "9**9**9", "__import__('os')",
        "2 + 3 = 5", "1e5", "10**10", "+5", "٣ + ٤",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic(text: str) -> None:
    assert evaluate(text) is None


@settings(deadline=None)
@given(st.text("0123456789+-*/() ", max_size=220))
def test_never_raises_and_agrees_with_python(text: str) -> None:
    found = evaluate(text)
    if found is not None:
        spelt = "".join(f"F({t})" if t.isdecimal() else t for t in _tokens(text))
        assert found.value == eval(spelt, {"F": Fraction})  # our own digits and signs only


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    for char in text.replace(" ", "_"):
        if char.isdecimal() and tokens and tokens[-1].isdecimal():
            tokens[-1] += char
        else:
            tokens.append(char)
    return [str(int(token)) if token.isdecimal() else token for token in tokens if token != "_"]


@pytest.mark.parametrize(
    "text", ["(" * 200, "-" * 200, "9" * 200, "9*" * 99 + "9", "((" * 99 + "1"]
)
def test_hostile_text_is_quick(text: str) -> None:
    start = time.perf_counter()
    evaluate(text)
    assert time.perf_counter() - start < 0.5
