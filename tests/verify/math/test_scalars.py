"""What may stand around one quantity: units, percent signs, bases, words."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ponder.verify.math.algebra import NoValueError
from ponder.verify.math.scalars import read_scalar
from ponder.verify.math.values import Infinity, Listing, Proportion, Scalar, Words
from ponder.verify.math.verify import grade_answer
from ponder.verify.numbers import parse_number


@pytest.mark.parametrize(
    ("text", "value", "unit", "base"),
    [
        ("1011_2", 11, "", 2),
        ("-37_8", -31, "", 8),
        (r"1F_{\text{sixteen}}", 31, "", 16),
        ("十二", 12, "", 10),
        ("三百零五", 305, "", 10),
        (r"2^3\text{ cm}^2", 8, "cm^2", 10),
        ("2^3 square inches", 8, "in^2", 10),
        (r"2^3^\circ ", 8, "degree", 10),
        (r"\$2^3", 8, "dollar", 10),
    ],
)
def test_quantities(text: str, value: int, unit: str, base: int) -> None:
    scalar = read_scalar(text)
    assert isinstance(scalar, Scalar)
    assert scalar.value
    assert (scalar.value.rational(), scalar.unit, scalar.base) == (value, unit, base)


@pytest.mark.parametrize("text", ["12_2", "5_1", "x_2", "A_{16}", "十十", "百", "零零五六"])
def test_what_is_no_number(text: str) -> None:
    scalar = read_scalar(text)
    assert isinstance(scalar, Words) or (
        isinstance(scalar, Scalar) and (scalar.value is None or scalar.value.atoms)
    )


def test_other_kinds() -> None:
    assert read_scalar(r"-\infty") == Infinity(-1)
    assert read_scalar(r"8:34 \text{ p.m.}") == Proportion(("8", "34"), "p")
    assert read_scalar(r"\text{Even}") == Words("even")
    assert isinstance(read_scalar(r"2\pm 1"), Listing)
    with pytest.raises(NoValueError):
        read_scalar("1/0%")


@pytest.mark.parametrize(
    ("text", "unit"),
    [("12元", "yuan"), ("12 厘米", "cm"), ("12个", ""), ("12平方米", "m^2"), ("12度", "degree")],
)
def test_chinese_units(text: str, unit: str) -> None:
    number = parse_number(text)
    assert number is not None
    assert (number.value, number.unit) == (Fraction(12), unit)


@pytest.mark.parametrize(
    ("one", "other"),
    [("5 square inches", r"5\text{ in}^2"), ("5 cubic meters", "5立方米"), ("5 sq. ft", "5 ft^2")],
)
def test_squares_and_cubes_of_units(one: str, other: str) -> None:
    assert parse_number(one) == parse_number(other)


@pytest.mark.parametrize("text", ["12万", "12多个", "12或13", "12折", "约12", "12半"])
def test_chinese_words_that_change_a_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    "answer",
    [r"\large 5", r"\color{red}{5}", r"{\bf 5}", r"\textcolor{blue}{5}", r"\displaystyle 5",
     r"5 \\", r"\ 5", r"5\text{.}", r"\mathbf{5}", r"|AB| = 5", r"\boxed{5}", "５", r"\rm 5"],
)  # fmt: skip
def test_decoration(answer: str) -> None:
    assert grade_answer("5", answer).verdict == "correct"


@pytest.mark.parametrize(
    "answer",
    [
        "5 or so",
        r"5 \text{ or } 6",
        "5?",
        "5-",
        r"5\pmod 7",
        "xy=5",
        "5 (or 6)",
        r"5\%\%",
        "5 doubled",
    ],
)
def test_more_than_decoration(answer: str) -> None:
    assert grade_answer("5", answer).verdict == "incorrect"
