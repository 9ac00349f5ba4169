"""Countdown problems and chains: equations are true, expressions say what the chain does."""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from random import Random

import pytest

from ponder.config.pretrain import CountdownConfig
from ponder.corpus.countdown import Chain, draw_countdown, random_chain, wrong_chain
from ponder.errors import PonderError

CONFIG = CountdownConfig()


def value_of(expression: str) -> Fraction:
    """An expression's value by a parser of its own."""

    def walk(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp):
            left, right = walk(node.left), walk(node.right)
            match node.op:
                case ast.Add():
                    return left + right
                case ast.Sub():
                    return left - right
                case ast.Mult():
                    return left * right
                case ast.Div():
                    return left / right
        if isinstance(node, ast.UnaryOp):
            return -walk(node.operand)
        assert isinstance(node, ast.Constant)
        return Fraction(node.value)

    return walk(ast.parse(expression, mode="eval").body)


def test_expression_and_equations_agree_with_the_values() -> None:
    rng = Random(1)
    for _ in range(2000):
        numbers = tuple(rng.randint(1, 50) for _ in range(rng.randint(2, 5)))
        chain = random_chain(rng, numbers)
        assert sorted(chain.numbers) == sorted(numbers)
        assert value_of(chain.expression()) == chain.value
        assert sorted(map(int, re.findall(r"\d+", chain.expression()))) == sorted(numbers)
        for equation in chain.equations():
            left, _, right = equation.partition("=")
            assert value_of(left) == int(right)


@pytest.mark.parametrize(
    ("chain", "expression", "equations"),
    [
        (
            Chain((25, 3, 4, 7), "+*-", (28, 112, 105)),
            "(25+3)*4-7",
            ["25+3=28", "28*4=112", "112-7=105"],
        ),
        (Chain((6, 4, 3), "*/", (24, 8)), "6*4/3", ["6*4=24", "24/3=8"]),
        (Chain((1, 2, 3, 4), "-*/", (-1, -3, 0)), "(1-2)*3/4", ["1-2=-1", "-1*3=-3", "-3/4=0"]),
    ],
)
def test_chains_by_hand(chain: Chain, expression: str, equations: list[str]) -> None:
    assert chain.expression() == expression
    assert chain.equations() == equations


def test_problems_keep_to_the_config_and_their_solution_solves_them() -> None:
    rng = Random(2)
    for _ in range(500):
        problem = draw_countdown(rng, CONFIG)
        assert problem.solution.value == problem.target
        assert CONFIG.min_target <= problem.target <= CONFIG.max_target
        assert CONFIG.min_numbers <= len(problem.numbers) <= CONFIG.max_numbers
        assert sorted(problem.numbers) == sorted(problem.solution.numbers)
        assert max(problem.numbers) <= CONFIG.max_value


def test_held_out_problems_are_not_drawn_in_any_order() -> None:
    config = CountdownConfig(min_numbers=2, max_numbers=2, max_value=6, max_target=12)
    seen = {
        (tuple(sorted(p.numbers)), p.target)
        for p in (draw_countdown(Random(seed), config) for seed in range(400))
    }
    heldout = frozenset(sorted(seen)[::2])
    for seed in range(400):
        problem = draw_countdown(Random(seed), config, heldout)
        assert (tuple(sorted(problem.numbers)), problem.target) not in heldout


def test_a_wrong_chain_misses_and_care_brings_it_nearer() -> None:
    rng = Random(3)
    problems = [draw_countdown(rng, CONFIG) for _ in range(300)]

    def miss(care: int) -> float:
        misses = sorted(abs(wrong_chain(rng, p, care).value - p.target) for p in problems)
        assert misses[0] > 0
        return misses[len(misses) // 2]

    assert miss(8) < miss(1) / 2


def test_bounds_that_leave_no_problem_are_refused() -> None:
    with pytest.raises(PonderError, match=r"corpus\.countdown\.max_target"):
        CountdownConfig(min_target=50, max_target=20)
