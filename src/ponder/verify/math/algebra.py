"""Exact algebra that always ends: quotients of polynomials over the rationals, with surds and i.

A monomial is a squarefree radical, a power of i (0 or 1) and named atoms (letters, pi, e) with
positive exponents. Sums of these are in normal form, so equality is equality of dictionaries, and
of quotients by cross-multiplication. Work is counted; too much of it raises ``TooHardError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, isqrt

MAX_TERMS = 200
MAX_EXPONENT = 400
MAX_BITS = 20_000
MAX_WORK = 10_000
MAX_RADICAND = 10**10

Atoms = tuple[tuple[str, int], ...]
Monomial = tuple[int, int, Atoms]
Terms = dict[Monomial, Fraction]
ONE: Monomial = (1, 0, ())


class TooHardError(Exception):
    """The exact path can't or won't tell; something else may."""


class NoValueError(Exception):
    """The text has no value at all, such as a quotient by zero."""


class Work:
    """A budget of elementary steps, so that no text costs more than some milliseconds."""

    def __init__(self, steps: int = MAX_WORK) -> None:
        self.steps = steps

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise TooHardError("too much work")


@dataclass(frozen=True, slots=True)
class Ratio:
    """``top / bottom``, not reduced; the bottom is not zero. Both are kept as they are read."""

    top: Mapping[Monomial, Fraction]
    bottom: Mapping[Monomial, Fraction]

    @property
    def is_zero(self) -> bool:
        return not self.top

    @property
    def atoms(self) -> frozenset[str]:
        """The names of all letters and constants in it."""
        terms = (*self.top, *self.bottom)
        return frozenset(name for _, _, atoms in terms for name, _ in atoms)

    def rational(self) -> Fraction | None:
        """The plain number it is, if it plainly is one."""
        if not set(self.top) <= {ONE} or set(self.bottom) != {ONE}:
            return None
        return self.top.get(ONE, Fraction(0)) / self.bottom[ONE]


def number(value: Fraction | int) -> Ratio:
    return Ratio({ONE: Fraction(value)} if value else {}, {ONE: Fraction(1)})


def atom(name: str) -> Ratio:
    """A letter or a constant; ``i`` is the imaginary unit."""
    key: Monomial = (1, 1, ()) if name == "i" else (1, 0, ((name, 1),))
    return Ratio({key: Fraction(1)}, {ONE: Fraction(1)})


def add(first: Ratio, second: Ratio, work: Work, sign: int = 1) -> Ratio:
    if first.bottom == second.bottom:
        return Ratio(_sum(first.top, second.top, sign, work), first.bottom)
    left = _product(first.top, second.bottom, work)
    right = _product(second.top, first.bottom, work)
    return Ratio(_sum(left, right, sign, work), _product(first.bottom, second.bottom, work))


def multiply(first: Ratio, second: Ratio, work: Work) -> Ratio:
    return Ratio(_product(first.top, second.top, work), _product(first.bottom, second.bottom, work))


def divide(first: Ratio, second: Ratio, work: Work) -> Ratio:
    if not second.top:
        raise NoValueError("a quotient by zero")
    top, bottom = _product(first.top, second.bottom, work), _product(first.bottom, second.top, work)
    if set(bottom) == {ONE}:
        scale = bottom[ONE]
        return Ratio({key: value / scale for key, value in top.items()}, {ONE: Fraction(1)})
    return Ratio(top, bottom)


def power(base: Ratio, exponent: int, work: Work) -> Ratio:
    plain = base.rational()
    if plain is not None and plain and abs(exponent) * _bits(plain) <= MAX_BITS:
        return number(plain**exponent)
    if abs(exponent) > MAX_EXPONENT:
        raise TooHardError("a large exponent")
    if exponent < 0:
        return power(divide(number(1), base, work), -exponent, work)
    if exponent == 0 and base.is_zero:
        raise NoValueError("zero to the power of zero")
    result, square = number(1), base
    while exponent:
        if exponent & 1:
            result = multiply(result, square, work)
        exponent >>= 1
        if exponent:
            square = multiply(square, square, work)
    return result


def square_root(value: Fraction) -> Ratio:
    """The root of a rational number, with the squares taken out."""
    if not value:
        return number(0)
    radicand = abs(value.numerator) * value.denominator
    outside, inside = squares_out(radicand)
    key: Monomial = (inside, 1 if value < 0 else 0, ())
    return Ratio({key: Fraction(outside, value.denominator)}, {ONE: Fraction(1)})


def squares_out(radicand: int) -> tuple[int, int]:
    """``(a, b)`` with ``a * a * b == radicand`` and b squarefree."""
    root = isqrt(radicand)
    if root * root == radicand:
        return root, 1
    if radicand > MAX_RADICAND:
        raise TooHardError("a large radicand")
    outside, inside, rest, divisor = 1, 1, radicand, 2
    while divisor**3 <= rest:
        exponent = 0
        while rest % divisor == 0:
            rest //= divisor
            exponent += 1
        outside *= divisor ** (exponent // 2)
        inside *= divisor ** (exponent % 2)
        divisor += 1
    root = isqrt(rest)
    if root * root == rest:
        return outside * root, inside
    return outside, inside * rest


def integer_root(value: Fraction, degree: int) -> Fraction | None:
    """The exact root of a rational number, or None if it has no rational one."""
    if value < 0:
        negative = integer_root(-value, degree) if degree % 2 else None
        return None if negative is None else -negative
    top, bottom = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _whole_root(value: int, degree: int) -> int | None:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**degree < value:
            low = middle + 1
        else:
            high = middle
    return low if low**degree == value else None


def equal(first: Ratio, second: Ratio) -> bool:
    """Whether they are the same; raises TooHardError where that would take too long."""
    work = Work()
    return _product(first.top, second.bottom, work) == _product(second.top, first.bottom, work)


def proportion(first: Ratio, second: Ratio) -> Fraction | None:
    """How many times the second the first is, if that is a rational number other than zero."""
    if first.is_zero or second.is_zero:
        return None
    work = Work()
    one = _product(first.top, second.bottom, work)
    other = _product(second.top, first.bottom, work)
    if set(one) != set(other):
        return None
    key = next(iter(one))
    factor = one[key] / other[key]
    return factor if all(one[k] == factor * other[k] for k in one) else None


def _sum(
    first: Mapping[Monomial, Fraction],
    second: Mapping[Monomial, Fraction],
    sign: int,
    work: Work,
) -> Terms:
    result = dict(first)
    for key, value in second.items():
        work.spend(_cost(value))
        _accumulate(result, key, sign * value)
    if len(result) > MAX_TERMS:
        raise TooHardError("too many terms")
    return result


def _product(
    first: Mapping[Monomial, Fraction], second: Mapping[Monomial, Fraction], work: Work
) -> Terms:
    result: Terms = {}
    for one, left in first.items():
        for other, right in second.items():
            work.spend(_cost(left) + _cost(right))
            key, scale = _times(one, other)
            _accumulate(result, key, left * right * scale)
    if len(result) > MAX_TERMS:
        raise TooHardError("too many terms")
    return result


def _accumulate(terms: Terms, key: Monomial, value: Fraction) -> None:
    """Add to a coefficient; one that becomes 0 is taken away."""
    total = terms.get(key, Fraction(0)) + value
    if total:
        terms[key] = total
    else:
        terms.pop(key, None)


def _cost(value: Fraction) -> int:
    bits = _bits(value)
    if bits > MAX_BITS:
        raise TooHardError("too many digits")
    return 1 + bits // 256


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _times(first: Monomial, second: Monomial) -> tuple[Monomial, int]:
    shared = gcd(first[0], second[0])
    radical = first[0] // shared * (second[0] // shared)
    turns = first[1] + second[1]
    scale = -shared if turns == 2 else shared
    if not first[2] or not second[2]:
        return (radical, turns % 2, first[2] or second[2]), scale
    exponents = dict(first[2])
    for name, exponent in second[2]:
        exponents[name] = exponents.get(name, 0) + exponent
    return (radical, turns % 2, tuple(sorted(exponents.items()))), scale
