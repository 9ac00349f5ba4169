"""Countdown: reach a target with all of some numbers, each used once.

Everything is a *chain*: ``((a op b) op c) op d``, a running value. reasoning-gym makes its problems
that way, so every one of them has a chain for a solution.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ponder.config.pretrain import CountdownConfig

OPERATORS = "+-*/"
LARGEST = 9999
"""Values beyond this are not worth writing down."""

Heldout = frozenset[tuple[tuple[int, ...], int]]
"""(sorted numbers, target) of problems that no document may ask."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Numbers in the order in which they are used, the operators between, every running value."""

    numbers: tuple[int, ...]
    operators: str
    values: tuple[int, ...]

    @property
    def value(self) -> int:
        return self.values[-1]

    def equations(self) -> list[str]:
        """One small equation for each operator."""
        left, found = self.numbers[0], []
        for operator, number, value in zip(
            self.operators, self.numbers[1:], self.values, strict=True
        ):
            found.append(f"{left}{operator}{number}={value}")
            left = value
        return found

    def expression(self) -> str:
        """The chain in one expression, with no more parentheses than it needs."""
        text, is_sum = str(self.numbers[0]), False
        for operator, number in zip(self.operators, self.numbers[1:], strict=True):
            if operator in "*/" and is_sum:
                text = f"({text})"
            is_sum = operator in "+-"
            text = f"{text}{operator}{number}"
        return text


@dataclass(frozen=True, slots=True)
class Countdown:
    """One problem: numbers as they are given, the target, a chain that reaches it."""

    numbers: tuple[int, ...]
    target: int
    solution: Chain


def random_chain(rng: Random, numbers: tuple[int, ...]) -> Chain:
    """Any order and any operators; a division that leaves a rest becomes another operator."""
    order = rng.sample(numbers, len(numbers))
    while True:
        operators, values, current = "", [], order[0]
        for number in order[1:]:
            operator = rng.choice(OPERATORS)
            if operator == "/" and current % number:
                operator = rng.choice("+-*")
            current = apply(operator, current, number)
            operators += operator
            values.append(current)
        if max(map(abs, values)) <= LARGEST:
            return Chain(tuple(order), operators, tuple(values))


def apply(operator: str, left: int, right: int) -> int:
    """The value of one operation (division is exact by the caller's care)."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    return left * right if operator == "*" else left // right


def draw_countdown(
    rng: Random, config: CountdownConfig, heldout: Heldout = frozenset()
) -> Countdown:
    """A problem with a target inside the config's bounds, and not a held-out one."""
    while True:
        count = rng.randint(config.min_numbers, config.max_numbers)
        numbers = [rng.randint(1, config.max_value) for _ in range(count)]
        chain = random_chain(rng, tuple(numbers))
        if not config.min_target <= chain.value <= config.max_target:
            continue
        rng.shuffle(numbers)
        if (tuple(sorted(numbers)), chain.value) not in heldout:
            return Countdown(tuple(numbers), chain.value, chain)


def wrong_chain(rng: Random, problem: Countdown, care: int) -> Chain:
    """A chain that misses the target: the nearest of ``care`` random ones."""
    best: Chain | None = None
    for _ in range(8 * care):
        chain = random_chain(rng, problem.numbers)
        if chain.value == problem.target:
            continue
        care -= 1
        if best is None or abs(chain.value - problem.target) < abs(best.value - problem.target):
            best = chain
        if care <= 0:
            break
    return best or Chain(*_sum_of(problem.numbers))


def _sum_of(numbers: tuple[int, ...]) -> tuple[tuple[int, ...], str, tuple[int, ...]]:
    """All numbers added up: what is left where nearly every chain is a solution."""
    values = tuple(sum(numbers[: end + 2]) for end in range(len(numbers) - 1))
    return numbers, "+" * len(values), values
