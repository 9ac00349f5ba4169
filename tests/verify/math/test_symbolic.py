"""sympy by way of math-verify, on single formulas, with what it gets wrong kept from it."""

from __future__ import annotations

import pytest

from ponder.verify.math.symbolic import equivalent, is_formula, same_formula


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\sin^2 t", r"1-\cos^2 t"),
        (r"\sqrt{5-2\sqrt6}", r"\sqrt3-\sqrt2"),
        (r"\frac{n(n+1)}{2}", r"\binom{n+1}{2}"),
        (r"\log_2 8", "3"),
        (r"\sin 30^\circ", "0.5"),
        (r"\tan 15^\circ", r"2-\sqrt3"),
        (r"e^{i\pi}", "-1"),
        (r"e^{2x}", "(e^x)^2"),
        (r"2^{n-1}", r"\frac{2^n}{2}"),
        (r"\ln 8", r"3\ln 2"),
        (r"\cot x", r"\frac{\cos x}{\sin x}"),
        (r"\ln\frac{a}{b}", r"\ln a - \ln b"),
        (r"\frac{\sin 2x}{e^{x^2}}", r"2\sin x\cos x e^{-x^2}"),
        ("(n+1)!", "(n+1)n!"),
    ],
)
def test_the_same_both_ways(one: str, other: str) -> None:
    assert same_formula(one, other)
    assert same_formula(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\ln 2", "0.693147"),
        (r"\ln 2", "0.6931471805599453"),
        (r"\frac{a}{b}c", r"\frac{a}{b}"),
        (r"\frac{1}{50!}", r"\frac{1}{51!}"),
        ("|x|", "x"),
        ("|x+5|", "x+5"),
        ("|9-x|", "9-x"),
        (r"\sqrt{x^2}", "x"),
        (r"\sin x", r"\sin y"),
        (r"\sin 30", r"\sin 30^\circ"),
        (r"2^{-98}", r"2^{-99}"),
    ],
)
def test_not_the_same(one: str, other: str) -> None:
    assert not same_formula(one, other)
    assert not same_formula(other, one)


def test_shapes_are_ours() -> None:
    assert equivalent(r"(\ln 4, 1)", r"(2\ln 2, 1)")
    assert not equivalent(r"(\ln 4, 1)", r"\{2\ln 2, 1\}")
    assert not equivalent(r"\ln 4", r"x = 3 = \ln 4")


def test_what_is_no_formula() -> None:
    assert is_formula(r"\sin x")
    assert not is_formula(r"\frac{}{}")
