"""What sympy never sees."""

from __future__ import annotations

import pytest

from ponder.verify.math.limits import refusal


@pytest.mark.parametrize(
    "text",
    [
        "", "x" * 401, "10^{10^{10}}", "9^{9^9}", "9^9^9", r"2^{\frac{9^9}{1}}", "10^9!", "(20!)!",
        "(99)!", "e^{x}^{y}", "x.y", "[x+1]y", "0." + "6" * 25,
        r"\lfloor \sin x \rfloor", r"\sin 12345", r"\sin x " * 7, r"\frac123",
        r"\exp(\exp(\exp(x)))", r"e^{\exp(\exp(x))}",
        "5000!", "3!!", r"\binom{9999}{5}", r"\binom{n}{99999}",
        r"\binom{\sin x}{2}", r"\sum_{i=1}^9 i", r"\int x",
        r"\lim x", r"\det A", r"\prod x", "(x+y)^{60}", "x^{99999}", "2^(3)", "9" * 60,
        "{" * 15 + "5" + "}" * 15, "+".join("x" * 80), "1, 2", "10 00", "x=5", "5?", "73**'",
        r"\text{five}", "import", "甲", r"\begin{pmatrix}1\end{pmatrix}", "5;6", "x<5", "5%",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize(
    "text",
    [r"\sin^2 x", r"\frac{n(n+1)}{2}", r"\sqrt{5-2\sqrt6}", "e^{x^2}", "2^{n-1}", r"\log_2 8",
     r"\binom{n+1}{2}", r"\cos(6^\circ)\sin(12^\circ)", "3^x-2^x", "|x|", "n!", r"(x+1)^2(x-1)^2",
     "(n-1)!"],
)  # fmt: skip
def test_let_through(text: str) -> None:
    assert refusal(text) == ""
