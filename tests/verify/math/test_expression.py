"""Scalar LaTeX read into exact values: which texts have one, and which."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ponder.verify.math.algebra import NoValueError, TooHardError, equal
from ponder.verify.math.expression import read_expression


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2+3*4", "14"),
        ("-2^2", "-4"),
        ("2^{-3}", "1/8"),
        ("2^10", "1024"),
        (r"\frac12+\frac{1}{3}", "5/6"),
        (r"3\frac12", "7/2"),
        (r"3\frac{1}{2}", "7/2"),
        (r"2\frac{5}{3}", "10/3"),  # no proper fraction: a product
        (r"\frac{270}7", "270/7"),
        ("(1+2)(3)", "9"),
        ("12/4/3", "1"),
        ("5!", "120"),
        (r"\binom{6}{2}", "15"),
        (r"\sqrt{49}", "7"),
        (r"\sqrt[3]{-27}", "ERROR"),
        (r"\sqrt[3]{27}", "3"),
        (r"4^{1/2}", "2"),
        (r"0.\overline{3}", "1/3"),
        (r"0.1\overline{6}", "1/6"),
        (r"\sqrt2*\sqrt8", "4"),
    ],
)
def test_values(text: str, value: str) -> None:
    if value == "ERROR":
        with pytest.raises(TooHardError):
            read_expression(text)
    else:
        assert read_expression(text).rational() == Fraction(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(x-1)(x+1)", "x^2-1"),
        (r"\frac{1}{\sqrt2}", r"\frac{\sqrt2}{2}"),
        (r"\frac{1}{\sqrt2+\sqrt3}", r"\sqrt3-\sqrt2"),
        ("2ab", "2ba"),
        (r"\frac{3\pi}{4}", r"\pi*3/4"),
        ("x_1+x_{2}", "x_2+x_1"),
        (r"\alpha\beta", r"\beta\alpha"),
        (r"\sqrt{-9}", "3i"),
        (r"\frac{1}{1+i}", r"\frac{1-i}{2}"),
    ],
)
def test_same_values(one: str, other: str) -> None:
    assert equal(read_expression(one), read_expression(other))


@pytest.mark.parametrize(
    "text",
    ["", "2 3", "1+", "*5", "5*", "--5", "x^y", "x^2^3", r"\sin x", r"\frac123", r"\sqrt12", "5!!",
     "(5", "5)", "(5]", "|x|", "1.2.3", ".", "x'", "9999!", r"\foo", "甲", "٥", "5..", "a=b", "5?",
     r"\sqrt{x}", r"\sqrt[3]{2}", "(" * 50 + "5" + ")" * 50, "3^" * 50 + "1"],
)  # fmt: skip
def test_what_it_cannot_tell(text: str) -> None:
    with pytest.raises(TooHardError):
        read_expression(text)


@pytest.mark.parametrize("text", ["1/0", r"\frac{0}{0}", "0^0", "0^{-1}", r"\frac{1}{x-x}"])
def test_what_has_no_value(text: str) -> None:
    with pytest.raises(NoValueError):
        read_expression(text)
