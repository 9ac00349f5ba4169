"""Exact algebra, by worked examples."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.verify.math.algebra import (
    NoValueError,
    Ratio,
    TooHardError,
    Work,
    add,
    atom,
    divide,
    equal,
    integer_root,
    multiply,
    number,
    power,
    proportion,
    square_root,
    squares_out,
)


def test_a_surd_times_itself_is_rational() -> None:
    root = square_root(Fraction(12))
    assert multiply(root, root, Work()).rational() == 12


def test_surds_multiply_into_one_squarefree_surd() -> None:
    product = multiply(square_root(Fraction(6)), square_root(Fraction(10)), Work())
    assert equal(product, multiply(number(2), square_root(Fraction(15)), Work()))


def test_i_squared_is_minus_one() -> None:
    assert power(atom("i"), 2, Work()).rational() == -1
    assert power(square_root(Fraction(-4)), 2, Work()).rational() == -4


def test_sums_cancel_and_quotients_cross_multiply() -> None:
    x = atom("x")
    squares = add(power(x, 2, Work()), number(1), Work(), sign=-1)
    quotient = divide(squares, add(x, number(1), Work(), sign=-1), Work())
    assert equal(quotient, add(x, number(1), Work()))
    assert not equal(quotient, x)
    assert add(x, x, Work(), sign=-1).is_zero


def test_an_equation_may_be_scaled_but_not_vanish() -> None:
    x = add(atom("x"), number(3), Work())
    assert proportion(multiply(number(Fraction(-2, 3)), x, Work()), x) == Fraction(-2, 3)
    assert proportion(x, atom("x")) is None
    assert proportion(x, number(0)) is None
    assert proportion(number(0), number(0)) is None


def test_a_quotient_by_zero_has_no_value() -> None:
    with pytest.raises(NoValueError):
        divide(number(1), number(0), Work())
    with pytest.raises(NoValueError):
        power(number(0), 0, Work())


def test_too_much_is_refused() -> None:
    letters = number(0)
    for name in "abcdefgh":
        letters = add(letters, atom(name), Work())
    with pytest.raises(TooHardError):
        power(letters, 50, Work())
    with pytest.raises(TooHardError):
        power(number(10), 10**9, Work())
    with pytest.raises(TooHardError):
        squares_out(10**20 + 1)
    assert power(number(2), 4950, Work()).rational() == 2**4950


@given(st.integers(1, 10**10))
def test_squares_are_taken_out(radicand: int) -> None:
    outside, inside = squares_out(radicand)
    assert outside**2 * inside == radicand
    divisors = range(2, min(isqrt(inside), 1000) + 1)
    assert not any(inside % (divisor**2) == 0 for divisor in divisors)


@given(st.fractions(), st.integers(2, 7))
def test_roots_of_powers(value: Fraction, degree: int) -> None:
    expected = abs(value) if degree % 2 == 0 else value
    assert integer_root(value**degree, degree) == expected


def test_most_numbers_have_no_rational_root() -> None:
    assert integer_root(Fraction(2), 2) is None
    assert integer_root(Fraction(8, 9), 3) is None
    assert integer_root(Fraction(-4), 2) is None


small = st.integers(-6, 6)


@given(st.tuples(small, small, small), st.tuples(small, small, small))
def test_products_commute(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    first, second = polynomial(one), polynomial(other)
    left, right = multiply(first, second, Work()), multiply(second, first, Work())
    assert equal(left, right)


def polynomial(coefficients: tuple[int, int, int]) -> Ratio:
    constant, linear, surd = coefficients
    total = add(number(constant), multiply(number(linear), atom("x"), Work()), Work())
    return add(total, multiply(number(surd), square_root(Fraction(2)), Work()), Work())
