"""Tasks: careful work is true and ends in the answer; slips are slips and carry on."""

from __future__ import annotations

import re
from random import Random

import pytest

from ponder.corpus.tasks import (
    TASKS,
    ChainSum,
    Equation,
    Gcd,
    Largest,
    Mixed,
    Product,
    Task,
    exact,
    miswrite,
    slipper,
)

EQUATION = re.compile(r"(-?\d+)([-+*/%])(\d+)=(-?\d+)")
OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}


def holds(equation: str) -> bool:
    """Whether a small equation, as the corpus writes it, is true (by a parser of its own)."""
    if equation.startswith("max("):
        a, b, c = map(int, re.findall(r"-?\d+", equation))
        return max(a, b) == c
    match = EQUATION.fullmatch(equation)
    assert match, equation
    a, operator, b, c = match.groups()
    return OPERATIONS[operator](int(a), int(b)) == int(c)


@pytest.mark.parametrize("name", list(TASKS))
def test_careful_and_rough_work_without_slips_is_true_and_ends_in_the_answer(name: str) -> None:
    rng = Random(1)
    for _ in range(300):
        task = TASKS[name][1](rng)
        for work in (task.careful(rng, exact), task.rough(rng, exact)):
            assert work.value == task.answer
            assert all(holds(equation) for equation in work.equations)


@pytest.mark.parametrize(
    ("task", "answer", "equations"),
    [
        (
            Product(347, 286),
            99242,
            [
                "347*200=69400",
                "347*80=27760",
                "347*6=2082",
                "69400+27760=97160",
                "97160+2082=99242",
            ],
        ),
        (Product(47, 30), 1410, ["47*30=1410"]),
        (ChainSum((12, -20, 5)), -3, ["12-20=-8", "-8+5=-3"]),
        (Mixed(3, 40, -7), 113, ["3*40=120", "120-7=113"]),
        (Gcd(48, 36), 12, ["48%36=12", "36%12=0"]),
        (Equation(3, 4, 5, "x"), 5, ["19-4=15", "15/3=5"]),
        (Largest((3, 9, 4)), 9, ["max(3,9)=9", "max(9,4)=9"]),
    ],
)
def test_careful_work_by_hand(task: Task, answer: int, equations: list[str]) -> None:
    assert task.answer == answer
    assert task.careful(Random(0), exact).equations == equations


def test_rough_product_leaves_the_hard_part_to_one_step() -> None:
    work = Product(347, 286).rough(Random(0), exact)
    assert work.equations == ["347*200=69400", "347*86=29842", "69400+29842=99242"]


def test_a_slip_carries_on_to_the_end() -> None:
    slips = iter([0, 1, 0])
    work = ChainSum((1, 2, 3, 4)).careful(Random(0), lambda value: value + next(slips))
    assert work.equations == ["1+2=3", "3+3=7", "7+4=11"]
    assert work.value == 11


def test_miswrite_is_always_wrong_and_keeps_the_sign() -> None:
    rng = Random(2)
    for value in (0, 1, 9, 10, 11, 99, 1000, 99242, -5, -1234):
        for _ in range(200):
            wrong = miswrite(rng, value)
            assert wrong != value
            assert wrong * value >= 0


def test_slip_rate_is_what_was_asked_for() -> None:
    slip = slipper(Random(3), 0.2)
    wrong = sum(slip(12345) != 12345 for _ in range(5000))
    assert 0.18 < wrong / 5000 < 0.22
