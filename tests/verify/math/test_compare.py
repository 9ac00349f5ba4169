"""Yes, no and can't tell, on shapes; an oracle hears of single formulas alone."""

from __future__ import annotations

import pytest

from ponder.verify.math.compare import same
from ponder.verify.math.read import read


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\{1,2\}", r"\{2,1,1\}"),
        ("1,2", r"\{2,1\}"),
        ("(0,3)", "0<x<3"),
        (r"(-\infty,5)", "x<5"),
        (r"(-\infty,0)\cup(2,\infty)", r"x>2 \text{ or } x<0"),
        (r"60^\circ", r"\frac{\pi}{3}"),
        ("y=2x+3", "2x-y+3=0"),
        ("(x,y)=(2,3)", "(2,3)"),
        ("x=2,y=3", "(2,3)"),
        (r"(0,9)\cup(9,36)", r"x \in (0, 9) \cup (9, 36)"),
        (r"\mathbb{R}\setminus\{0\}", r"x \in \mathbb{R} \setminus \{0\}"),
        (r"2\pm\sqrt3", r"2-\sqrt3, 2+\sqrt3"),
        ("2:3", "4:6"),
        ("(-1,1)", "|x|<1"),
        (r"(-\infty,-1]\cup[1,\infty)", r"|x|\ge1"),
        (r"(-\infty,3)\cup(3,\infty)", r"x \ne 3"),
        (r"\mathbb{R}\setminus\{1,0\}", r"(1,\infty)\cup(0,1)\cup(-\infty,0)"),
        ("[-2,2]", r"\{x : -2\le x\le 2\}"),
        (r"s^2 \le 8r^2", r"16r^2 \ge 2s^2"),
        (r"2\begin{pmatrix}1\\0\end{pmatrix}", r"\begin{pmatrix}2\\0\end{pmatrix}"),
        ("E", "e"),
        ("5", "x=5"),
        (r"\{5\}", "5"),
        (r"\text{all real numbers}", r"\mathbb{R}"),
    ],
)
def test_the_same_both_ways(one: str, other: str) -> None:
    assert same(read(one), read(other)) is True
    assert same(read(other), read(one)) is True


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\{1,2\}", "(1,2)"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("[0,1]", "[0,1)"),
        ("1,2", "1,2,3"),
        (r"s^2 \le 8r^2", r"s^2 \ge 8r^2"),
        (r"s^2 \le 8r^2", r"s^2 < 8r^2"),
        ("(-1,1)", "|x|>1"),
        ("1<2", "2<4"),
        ("1,1", "1"),
        ("x>3", "y>3"),
        ("x=5", "y=5"),
        ("4=5", "5"),
        ("3x-y+13=0", "3x+4y+14=0"),
        ("x=x", "y=y"),
        ("0=0", "1=1"),
        (r"5\text{ cm}", r"5\text{ m}"),
        (r"\text{red, blue}", r"\text{blue, red}"),
        ("12:00", "1:00"),
        ("2:30", "4:60"),
        ("x=x+5", "x+5"),
        ("1/3", "0.333333"),
        (r"\sqrt2", "1.41421356"),
        (r"\emptyset", "0"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"),
        (r"-\infty", r"\infty"),
        (r"\text{even}", "neve"),
        ("101_2", "101"),
    ],
)
def test_not_the_same_either_way(one: str, other: str) -> None:
    assert same(read(one), read(other)) is False
    assert same(read(other), read(one)) is False


def test_a_number_in_another_base_is_no_conversion() -> None:
    assert same(read("101_2"), read("5")) is True
    assert same(read("101_2"), read("101_{2}")) is True
    assert same(read("5"), read("101_2")) is False
    assert same(read("1010100_2"), read("1110_4")) is False


def test_what_we_cannot_tell_is_asked() -> None:
    asked: list[tuple[str, str]] = []

    def oracle(gold: str, answer: str) -> bool | None:
        asked.append((gold, answer))
        return (gold, answer) == (r"\sin x", r"\cos y")

    gold, answer = read(r"(1, \sin x)"), read(r"(1, \cos y)")
    assert same(gold, answer) is None
    assert same(gold, answer, oracle) is True
    assert asked == [(r"\sin x", r"\cos y")]
    assert same(read(r"(2, \sin x)"), answer, oracle) is False
    assert len(asked) == 1


def test_a_set_is_matched_by_the_oracle_too() -> None:
    def oracle(gold: str, answer: str) -> bool | None:
        return gold.removeprefix("\\") == answer.removeprefix("\\").replace("0+", "")

    gold = read(r"\{\ln 2, 1, \ln 3\}")
    assert same(gold, read(r"\{1, 0+\ln 3, 0+\ln 2\}"), oracle) is False
    assert same(gold, read(r"\{\ln 3, \ln 2, 1\}"), oracle) is True
    assert same(gold, read(r"\{\ln 3, \ln 2, 4\}"), oracle) is False
    assert same(gold, read(r"\{\ln 3, \ln 5, 1\}")) is None


@pytest.mark.parametrize(
    ("gold", "echo"),
    [
        ("1", r"\sin^2 x+\cos^2 x"),
        ("1", r"\frac{x}{x}"),
        ("1", "x^0"),
        ("-1", "i^2"),
        (r"\frac12", r"\sin 30^\circ"),
        ("3", r"\log_2 8"),
        ("3", r"\lfloor 3.7 \rfloor"),
        ("4", "|-4|"),
        ("4", "-(-4)"),
        ("4", "--4"),
    ],
)
def test_an_echo_of_the_problem_is_no_number(gold: str, echo: str) -> None:
    assert same(read(gold), read(echo), lambda one, other: True) is False
