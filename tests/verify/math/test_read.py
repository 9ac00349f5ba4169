"""The shapes of answers."""

from __future__ import annotations

import pytest

from ponder.verify.math.normal import normal_text, text_key, words_key
from ponder.verify.math.read import read
from ponder.verify.math.split import bracketed, split
from ponder.verify.math.values import (
    Equation,
    Inequality,
    Infinity,
    Interval,
    Listing,
    Matrix,
    Named,
    Proportion,
    Row,
    Scalar,
    Union,
    Unreadable,
    Words,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("5", Scalar),
        ("1,234", Scalar),
        (r"12\,345", Scalar),
        ("18 dollars", Scalar),
        (r"12\sqrt{3}\text{ feet}", Scalar),
        ("1011_2", Scalar),
        ("十二", Scalar),
        (r"\sin x", Scalar),
        ("1, 2", Listing),
        (r"1 \text{ and } 2", Listing),
        (r"\{1,2\}", Listing),
        (r"\emptyset", Listing),
        (r"\pm 3", Listing),
        (r"\text{A,B,E}", Listing),
        ("(1,2)", Row),
        ("[0,1)", Row),
        (r"\langle 1, 2\rangle", Row),
        ("0<x<3", Interval),
        (r"x \ge 3", Interval),
        ("]0,1[", Interval),
        (r"\mathbb{R}", Interval),
        (r"(-\infty,0)\cup(2,\infty)", Union),
        (r"x<0 \text{ or } x>2", Union),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", Matrix),
        (r"\left[\begin{array}{cc}1&2\\3&4\end{array}\right]", Matrix),
        ("x=5", Named),
        ("n=2,3,4", Named),
        (r"x \in [1,2]", Named),
        ("f(x)=x^2", Named),
        ("x+y=1", Equation),
        ("12:00", Proportion),
        (r"\text{even}", Words),
        ("是", Words),
        (r"-\infty", Infinity),
        ("", Unreadable),
        ("x=4=5", Unreadable),
        ("1<x>2", Unreadable),
        (r"\frac{1}{2", Unreadable),
        ("1/0", Unreadable),
        ("(1,)", Unreadable),
        (r"x \ne 5", Union),
        (r"\mathbb{R} \setminus \{0, 1\}", Union),
        ("|x| < 2", Interval),
        (r"|x| \ge 2", Union),
        (r"\{x \mid 1 < x < 2\}", Interval),
        (r"s^2 \le 8r^2", Inequality),
        (r"x = 1 \ne 2", Unreadable),
        (r"|x| < -2", Unreadable),
        (r"\mathbb{R} \setminus \{a\}", Unreadable),
        (r"\begin{pmatrix}1&2\\3\end{pmatrix}", Unreadable),
        (r"x<5 \text{ and } x>1", Unreadable),
        ("9" * 3000, Unreadable),
    ],
)
def test_kinds(text: str, kind: type) -> None:
    assert type(read(text)) is kind


def test_the_ends_of_an_inequality() -> None:
    assert read(r"-1\le x<4") == read(r"4>x\ge-1")
    value = read("x>3")
    assert isinstance(value, Interval)
    assert (value.high, value.has_low, value.variable) == (Infinity(1), False, "x")


def test_units_and_percent_signs_are_kept_apart() -> None:
    feet, half = read(r"12\sqrt{3}\text{ feet}"), read(r"50\%")
    assert isinstance(feet, Scalar)
    assert isinstance(half, Scalar)
    assert feet.unit == "ft"
    assert half.is_percent


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\left( \dfrac{1}{2} , 3 \right)", r"(\frac{1}{2},3)"),
        (r"$x \leq 3$", r"x \le 3"),
        (r"\text{ Yes }", "Yes."),
        ("（1，2）", "(1,2)"),
        ("1{,}000", "1000"),
        (r"90^{\circ}", "90°"),
    ],
)
def test_one_spelling(one: str, other: str) -> None:
    assert text_key(normal_text(one)) == text_key(normal_text(other))


@pytest.mark.parametrize(
    ("one", "other"), [("1 2", "12"), ("a b", "ab"), (r"1\\2", "12"), ("no where", "nowhere")]
)
def test_spaces_that_matter(one: str, other: str) -> None:
    assert text_key(normal_text(one)) != text_key(normal_text(other))


def test_words_have_no_case() -> None:
    assert words_key(r"\text{The Cat.}") == "the cat"


def test_splitting_respects_brackets() -> None:
    commas = frozenset(",")
    assert split(r"(1,2),\{3,4\},5", commas)[0] == ["(1,2)", r"\{3,4\}", "5"]
    assert split("(1,2", commas) == (["(1,2"], [])
    assert split("1),(2", commas) == (["1),(2"], [])


def test_brackets_around_everything() -> None:
    assert bracketed("[1,2)") == ("[", "1,2", ")")
    assert bracketed("(1)(2)") is None
    assert bracketed(r"\{1\]") is None
