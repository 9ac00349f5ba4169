"""The last resort: math-verify and sympy on two formulas. Runs in a killable worker only.

Nothing here has a time limit of its own; ``verify`` calls it through ``verify.pool.isolated``.
"""

from __future__ import annotations

import random
import re
from fractions import Fraction
from typing import Any

from ponder.verify.math.compare import same
from ponder.verify.math.limits import refusal
from ponder.verify.math.read import read

DIGITS = 60
NUM_POINTS = 3
_DECIMAL = re.compile(r"(?<![0-9.])([0-9]*\.[0-9]+)(?![0-9.])")


def equivalent(gold: str, answer: str) -> bool | None:
    """Whether two answers are the same; shapes are compared exactly, single formulas by sympy.

    None if sympy can't read one of them either.
    """
    return same(read(gold), read(answer), _same_formula)


def is_formula(text: str) -> bool:
    """Whether sympy can read the text as one formula."""
    return _parse(text) is not None


def _same_formula(gold: str, answer: str) -> bool | None:
    if refusal(gold) or refusal(answer):
        return False
    one, other = _parse(gold), _parse(answer)
    if one is None or other is None:
        return None
    if not _agree_in_numbers(one, other):
        return False
    return _verified(gold, answer) or _verified(answer, gold) or _vanishes(one, other)


def _verified(gold: str, answer: str) -> bool:
    from math_verify import verify

    return bool(verify(_read_all(gold), _read_all(answer), timeout_seconds=None))


def _read_all(text: str) -> Any:
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=0)
    boxed = rf"\boxed{{{_exact(text)}}}"
    return parse(
        boxed, [config], fallback_mode="no_fallback", parsing_timeout=None  # type: ignore[arg-type]
    )


def _parse(text: str) -> Any:
    """The sympy expression, or None where there is none or it is no single number or formula."""
    import sympy

    found = [e for e in _read_all(text) if isinstance(e, sympy.Basic)]
    if len(found) != 1 or not isinstance(found[0], sympy.Expr):
        return None
    return found[0]


def _exact(text: str) -> str:
    """With decimals as fractions, so that nothing is ever rounded."""

    def fraction(match: re.Match[str]) -> str:
        value = Fraction(match[1])
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"

    return _DECIMAL.sub(fraction, text)


def _agree_in_numbers(one: Any, other: Any) -> bool:
    """The same value to many digits, at random points where there are letters.

    A veto: math-verify rounds to six digits, and takes tiny numbers for zero.
    """
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    if not symbols:
        return _close(one, other)
    rng = random.Random(0)
    for _ in range(NUM_POINTS):
        point = {s: Fraction(rng.randrange(1000, 3000), 997) for s in symbols}
        if not _close(_at(one, point), _at(other, point)):
            return False
    return True


def _at(expression: Any, point: dict[Any, Fraction]) -> Any:
    import sympy

    return expression.subs(
        {s: sympy.Rational(v.numerator, v.denominator) for s, v in point.items()}
    )


def _close(one: Any, other: Any) -> bool:
    first, second = one.evalf(DIGITS), other.evalf(DIGITS)
    if not (first.is_number and second.is_number and first.is_finite and second.is_finite):
        return False
    size = max(abs(first), abs(second))
    return bool(size == 0 or abs(first - second) <= size * 10 ** (20 - DIGITS))


def _vanishes(one: Any, other: Any) -> bool:
    import sympy

    return bool(sympy.simplify(one - other) == 0)
