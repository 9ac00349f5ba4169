"""Plain calculations to learn from, as they stand in people's solutions of word problems.

A small model that follows a problem often fails at its sums: of the equations that SmolLM2-135M
wrote on GSM8K after fine-tuning and RL, one in five was wrong (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from random import Random

_FEWEST, _MOST = 3, 6
"""Calculations in a row."""


@dataclass(frozen=True, slots=True)
class Calculations:
    """What is to be calculated, a line of working for each, and the last one's result."""

    question: str
    solution: str
    answer: str


def calculations(rng: Random) -> Calculations:
    """Three to six calculations, written in one way: ``$48 - $24 = $24`` or ``48-24=24``."""
    gap, times, in_dollars = rng.choice(("", " ")), rng.choice("**x"), rng.random() < 0.2
    asked, lines, result = [], [], Fraction(0)
    for _ in range(rng.randint(_FEWEST, _MOST)):
        kind = rng.choices(_KINDS, [kind.weight for kind in _KINDS])[0]
        expression, result = kind.make(rng)
        sign = "$" if in_dollars and kind.is_money else ""
        terms = (sign + term if term.isdigit() else term for term in expression.split(" "))
        asked.append(gap.join(terms).replace("*", times))
        lines.append(f"{asked[-1]}{gap}={gap}{sign}{_decimal(result)}")
    question = f"Calculate one after the other: {', '.join(asked)}. What is the last one?"
    return Calculations(question, "\n".join(lines), _decimal(result))


def _decimal(value: Fraction) -> str:
    """In digits, to hundredths at most, no zeros at the end."""
    text = f"{float(value):.2f}"
    return text.rstrip("0").rstrip(".")


def _number(rng: Random, most_digits: int) -> int:
    """One of up to so many digits; of three in ten the last are zeros."""
    digits = rng.randint(1, most_digits)
    number = rng.randrange(10 ** (digits - 1), 10**digits)
    if digits > 1 and rng.random() < 0.3:
        unit = 10 ** rng.randint(1, digits - 1)
        number = max(number // unit, 1) * unit
    return number


def _sum(rng: Random) -> tuple[str, Fraction]:
    a, b = _number(rng, 5), _number(rng, 4)
    a, b = rng.choice(((a, b), (b, a)))
    return f"{a} + {b}", Fraction(a + b)


def _long_sum(rng: Random) -> tuple[str, Fraction]:
    parts = [_number(rng, 3) for _ in range(rng.randint(3, 4))]
    return " + ".join(map(str, parts)), Fraction(sum(parts))


def _difference(rng: Random) -> tuple[str, Fraction]:
    a, b = sorted((_number(rng, 5), _number(rng, 4)), reverse=True)
    return f"{a} - {b}", Fraction(a - b)


def _product(rng: Random) -> tuple[str, Fraction]:
    a, b = rng.choice(((4, 1), (3, 1), (2, 1), (2, 2), (3, 2)))
    factors = [_number(rng, a), _number(rng, b)]
    rng.shuffle(factors)
    return f"{factors[0]} * {factors[1]}", Fraction(factors[0] * factors[1])


def _division(rng: Random) -> tuple[str, Fraction]:
    """Most come out even, the others in halves, quarters, fifths or tenths."""
    divisor = max(2, _number(rng, rng.choice((1, 1, 2))))
    quotient = Fraction(_number(rng, 3))
    if rng.random() < 0.25:
        quotient += Fraction(rng.randint(1, 9), rng.choice((2, 4, 5, 10)))
        divisor *= quotient.denominator
    return f"{int(divisor * quotient)} / {divisor}", quotient


def _percentage(rng: Random) -> tuple[str, Fraction]:
    share, whole = 5 * rng.randint(1, 19), _number(rng, 3) * rng.choice((1, 10, 20))
    value = Fraction(share * whole, 100)
    if rng.random() < 0.5:
        return f"{whole} * {share} / 100", value
    return f"{whole} * {_decimal(Fraction(share, 100))}", value


def _cents(rng: Random) -> tuple[str, Fraction]:
    a, b = (Fraction(5 * rng.randint(1, 1999), 100) for _ in range(2))
    count = rng.randint(2, 12)
    if rng.random() < 0.4:
        return f"{_decimal(a)} * {count}", a * count
    if rng.random() < 0.5:
        return f"{_decimal(a)} + {_decimal(b)}", a + b
    return f"{_decimal(max(a, b))} - {_decimal(min(a, b))}", abs(a - b)


def _mixed(rng: Random) -> tuple[str, Fraction]:
    a, b, c = _number(rng, 2), _number(rng, 2), _number(rng, 3)
    if rng.random() < 0.4:
        return f"{a} * {b} + {c}", Fraction(a * b + c)
    if rng.random() < 0.5:
        return f"({a} + {b}) * {c % 10 or 2}", Fraction((a + b) * (c % 10 or 2))
    return f"{a + b + c} - {a} - {b}", Fraction(c)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What makes a calculation and its result, how often, and whether it may be one of dollars."""

    make: Callable[[Random], tuple[str, Fraction]]
    weight: float
    is_money: bool = False


_KINDS = [
    _Kind(_sum, 0.22, is_money=True),
    _Kind(_long_sum, 0.08),
    _Kind(_difference, 0.20, is_money=True),
    _Kind(_product, 0.20),
    _Kind(_division, 0.12),
    _Kind(_percentage, 0.07),
    _Kind(_cents, 0.06),
    _Kind(_mixed, 0.05),
]
