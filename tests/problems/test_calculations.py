"""Rows of plain calculations: every line holds, and is written as solutions write theirs."""

from __future__ import annotations

import re
from fractions import Fraction
from random import Random

from ponder.problems.calculations import calculations


def test_every_line_holds_and_the_last_is_the_answer() -> None:
    signs: set[str] = set()
    for seed in range(500):
        made = calculations(Random(seed))
        lines = made.solution.splitlines()
        assert 3 <= len(lines) <= 6
        for line in lines:
            plain = line.replace("$", "").replace("x", "*")
            expression, _, result = plain.rpartition("=")
            exact = re.sub(r"\d+(?:\.\d+)?", r"Fraction('\g<0>')", expression)
            assert eval(exact, {"Fraction": Fraction}) == Fraction(result.strip()), line
            assert Fraction(result.strip()) >= 0
            signs |= set(expression) & set("+-*/")
        assert lines[-1].rpartition("=")[2].strip().lstrip("$") == made.answer
        assert all(line.rpartition("=")[0].strip() in made.question for line in lines)
    assert signs == set("+-*/")


def test_rows_are_written_in_several_ways() -> None:
    texts = [calculations(Random(seed)).solution for seed in range(200)]
    for way in ("$", "x", "*", " = ", "."):
        assert 5 < sum(way in text for text in texts) < 195, way
    assert len(set(texts)) == 200
