r"""No text, however hostile, raises, hangs, or is taken for an answer.

Everything up to ``isolated`` is held to a second here (a twentieth is usual); what sympy does
behind it is ended by the pool's deadline.
"""

from __future__ import annotations

import time

import pytest

from ponder.types import Verdict
from ponder.verify.math.compare import same
from ponder.verify.math.limits import refusal
from ponder.verify.math.read import read
from ponder.verify.math.values import Scalar
from ponder.verify.math.verify import grade_math, same_text

LIMIT_SECONDS = 1.0
BOMBS = [
    "10^{10^{10}}", "9^{9^9}", "9^{9^{9^9}}", "10^{10^9}", "7^{10^8}", "10^9!", "10^6!",
    "((10!)!)!", "(20!)!", r"\binom{10^9}{10^8}", r"\sum_{i=1}^{10000000} i", "1000000000!",
    r"\sum_{k=1}^{10^7} \sin k", r"\prod_{i=1}^{10^7} i", r"\int_0^1 \frac{x^9}{\sin x} dx",
    "(x+y+z+w+1)^{60}", "(1+x)^{100000}", "{" * 3000 + "5" + "}" * 3000,
    r"\frac{1}{" * 300 + "1" + "}" * 300, "(" * 400 + "5" + ")" * 400, "+".join("x" * 2000),
    r"\sin(" * 40 + "x" + ")" * 40, r"\{" + ",".join(map(str, range(3000))) + r"\}",
    r"\gcd(10^{10000000},5)", r"\sqrt{" * 60 + "2" + "}" * 60, "9" * 200_000, "=".join("5" * 300),
    r"\begin{vmatrix}" + r"\\".join("&".join("abcdefghi") for _ in "abcdefghi") + r"\end{vmatrix}",
]  # fmt: skip
SOUP = [
    "$1$", r"\boxed{", "{", "}", "\\", "%", "1,", "1 ", "-", "^", "x^", "x_", "(", "[", r"\{", "a ",
    " ", ".", "5!", r"2\frac{", r"\frac12", r"\pm", "=", "<", r"\cup(0,1)", r"\text{", "是", "或",
    "１", "\x00", "\ud800", ":5", "|", "'", "\\\\", "&", r"\left(", r"0.\overline{3}", "1_{36}",
    r"\begin{pmatrix}", "and ", "or", "\n", "答案", r"\sqrt", "×", "+1", "*x", "(x+1)", "^\\circ",
]  # fmt: skip


def seconds(text: str) -> float:
    start = time.perf_counter()
    same_text("5", text)
    for gold in ("5", r"\ln 2", "1, 2", "(x, 5)"):
        same(read(gold), read(text))
    value = read(text)
    refusal(value.text if isinstance(value, Scalar) else text)
    return time.perf_counter() - start


@pytest.mark.parametrize("number", range(len(BOMBS)))
def test_bombs_are_kept_from_sympy(number: int) -> None:
    bomb = BOMBS[number]
    assert seconds(bomb) < LIMIT_SECONDS
    assert refusal(bomb)
    start = time.perf_counter()
    for gold in ("5", r"\ln 2", r"\sin x"):
        assert grade_math(gold, rf"\boxed{{{bomb}}}").verdict is not Verdict.CORRECT
    assert time.perf_counter() - start < 3 * LIMIT_SECONDS


@pytest.mark.parametrize("piece", SOUP)
def test_soup(piece: str) -> None:
    for length in (300, 1999, 200_000):
        text = (piece * length)[:length]
        assert seconds(text) < LIMIT_SECONDS
        assert seconds("5" + text[1:]) < LIMIT_SECONDS
        start = time.perf_counter()
        assert grade_math("7919", text).verdict is not Verdict.CORRECT
        assert grade_math("7919", r"\boxed{" + text).verdict is not Verdict.CORRECT
        assert grade_math("7919", r"\boxed{" + text + "}").verdict is not Verdict.CORRECT
        assert time.perf_counter() - start < 3 * LIMIT_SECONDS


def test_long_answers_are_compared_as_text() -> None:
    digits = "9" * 5000
    assert grade_math(digits, rf"\boxed{{{digits}}}").verdict is Verdict.CORRECT
    assert grade_math(digits, rf"\boxed{{{digits[1:]}}}").verdict is Verdict.INCORRECT


def test_two_thousand_boxes() -> None:
    start = time.perf_counter()
    assert grade_math("5", r"\boxed{5} " * 5000).verdict is Verdict.CORRECT
    assert grade_math("5", r"\boxed{" * 5000).verdict is Verdict.UNPARSABLE
    assert time.perf_counter() - start < 3 * LIMIT_SECONDS
