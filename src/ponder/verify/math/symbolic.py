r"""The last resort: math-verify and sympy on two formulas. Runs in a killable worker only.

Nothing here has a time limit of its own: ``verify`` calls it through ``verify.pool.isolated``,
which imports this module before the clock runs. math-verify is given single formulas of a white
list of symbols; what it rounds, drops or guesses is kept from it or vetoed.
"""

from __future__ import annotations

import logging
import random
import re
from fractions import Fraction
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify

from ponder.verify.math.compare import same
from ponder.verify.math.limits import refusal
from ponder.verify.math.read import read

DIGITS = 60
SPARE_DIGITS = 20
_DECIMAL = re.compile(r"(?<![0-9.])([0-9]*\.[0-9]+)(?![0-9.])")
_DEGREES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})")
_ROOT = re.compile(r"(\\sqrt\s*\[[^\[\]{}]*\])\s*([0-9A-Za-z])")
_LATEX = LatexExtractionConfig(
    boxed_match_priority=0,
    normalization_config=NormalizationConfig(
        basic_latex=True,
        units=False,  # it would take the c of \frac{a}{b}c for a unit and drop it
        malformed_operators=True,
        nits=True,
        boxed="last",
    ),
)
_SCALES = ((1, 1), (37, 37), (-1, 1), (-37, 37))
"""Of the points at which two formulas are held together: letters may be negative, and large, so
that ``|x + 5|`` is not ``x + 5``."""

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that there is no SIGALRM


def equivalent(gold: str, answer: str) -> bool | None:
    """Whether two answers are the same; shapes are compared exactly, single formulas by sympy.

    None if sympy can't read one of them either.
    """
    return same(read(gold), read(answer), same_formula)


def is_formula(text: str) -> bool:
    """Whether sympy can read the text as one formula."""
    return _parse(text) is not None


def same_formula(gold: str, answer: str) -> bool | None:
    """Whether two formulas are the same for math-verify, and in numbers too."""
    if refusal(gold) or refusal(answer):
        return False
    one = _parse(gold)
    if one is None:
        return None
    _agree_in_numbers(one, one)  # a reference that sympy chokes on is our fault and raises here
    try:
        return _are_same(one, _parse(answer))
    except Exception:  # noqa: BLE001 - sympy raises whatever it likes on what a model wrote
        return None


def _are_same(one: Any, other: Any) -> bool | None:
    if other is None:
        return None
    if not _agree_in_numbers(one, other):
        return False
    if verify(one, other, timeout_seconds=None) or verify(other, one, timeout_seconds=None):
        return True
    difference, _ = sympy.posify(one - other)  # for positive letters; the numbers had others too
    return bool(sympy.simplify(difference) == 0)


def _parse(text: str) -> Any:
    """The sympy expression, or None where there is none or it is no single formula."""
    found = parse(
        rf"\boxed{{{_exact(text)}}}",
        [_LATEX],
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )
    if len(found) != 1 or not isinstance(found[0], sympy.Expr):
        return None
    letters = {letter: sympy.I for letter in found[0].free_symbols if letter.name == "i"}
    return found[0].subs(letters)


def _exact(text: str) -> str:
    """With decimals as fractions, so that nothing is ever rounded, and degrees in radians."""

    def fraction(match: re.Match[str]) -> str:
        value = Fraction(match[1])
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"

    radians = _DEGREES.sub(r"{(\\frac{\1 \\cdot \\pi}{180})}", text)
    return _ROOT.sub(r"\1{\2}", _DECIMAL.sub(fraction, radians))


def _agree_in_numbers(one: Any, other: Any) -> bool:
    """The same value to many digits, at random points where there are letters.

    A veto: math-verify rounds to six digits, and takes tiny numbers for zero.
    """
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    rng = random.Random(0)
    for even, odd in _SCALES if symbols else _SCALES[:1]:
        point = {
            symbol: sympy.Rational((odd if k % 2 else even) * rng.randrange(1000, 3000), 997)
            for k, symbol in enumerate(symbols)
        }
        if not _close(one.subs(point), other.subs(point)):
            return False
    return True


def _close(one: Any, other: Any) -> bool:
    first, second = sympy.N(one, DIGITS), sympy.N(other, DIGITS)
    if not (first.is_number and second.is_number and first.is_finite and second.is_finite):
        return False
    size = max(abs(first), abs(second))
    return bool(
        size == 0 or abs(first - second) <= size * sympy.Rational(10) ** (SPARE_DIGITS - DIGITS)
    )


is_formula("x+1")  # builds the parser's tables, which is no work of the first answer's
