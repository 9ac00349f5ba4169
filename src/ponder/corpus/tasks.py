"""The problems of the corpus, each with a careful procedure and with the ways people get it wrong.

Every task can write *careful* work (small equations that end in the answer) and *rough* work (what
a hurried writer puts down: fewer, larger steps). ``Slip`` is how errors are injected into either. A
one-shot answer is written without any work at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

Slip = Callable[[int], int]
"""Takes the true result of one small operation and returns what the writer puts down."""


@dataclass(frozen=True, slots=True)
class Work:
    """Equations in order, and the value that they end in."""

    equations: list[str]
    value: int


class Task(Protocol):
    """One problem of the corpus."""

    @property
    def answer(self) -> int: ...

    def question(self, rng: Random, chinese: bool) -> str: ...

    def expression(self) -> str:
        """The problem as a bare expression, e.g. ``34*57`` (what a one-shot answer is put to)."""
        ...

    def careful(self, rng: Random, slip: Slip) -> Work:
        """The procedure in small steps; ``slip`` is applied to the result of every one."""
        ...

    def rough(self, rng: Random, slip: Slip) -> Work:
        """The same in larger steps, where there are any."""
        ...


def exact(value: int) -> int:
    """The slip of a writer who makes none."""
    return value


def slipper(rng: Random, rate: float) -> Slip:
    """A writer who gets each operation wrong with probability ``rate``."""
    return lambda value: miswrite(rng, value) if rng.random() < rate else value


def miswrite(rng: Random, value: int) -> int:
    """A wrong value near ``value``: a dropped carry, a wrong digit, or two digits swapped."""
    size = abs(value)
    digits = str(size)
    kind = rng.random()
    if kind < 0.6 or len(digits) < 2:
        step = 10 ** rng.randrange(max(1, len(digits)))
        wrong = size + rng.choice((-1, 1)) * step
    elif kind < 0.85:
        place = rng.randrange(len(digits))
        wrong = int(digits[:place] + str(rng.randrange(10)) + digits[place + 1 :])
    else:
        place = rng.randrange(len(digits) - 1)
        swapped = digits[:place] + digits[place + 1] + digits[place] + digits[place + 2 :]
        wrong = int(swapped)
    wrong = abs(int(wrong))
    if wrong == size:
        wrong = size + 10
    return -wrong if value < 0 else wrong


def estimate(rng: Random, value: int) -> int:
    """A wrong number with the first two digits and the last one of ``value`` (five or more)."""
    digits = str(value)
    size = len(digits) - 3
    while True:
        wrong = int(f"{digits[:2]}{rng.randrange(10**size):0{size}d}{digits[-1]}")
        if wrong != value:
            return wrong


def number(rng: Random, num_digits: int) -> int:
    """A positive number of exactly ``num_digits`` digits."""
    return rng.randrange(10 ** (num_digits - 1), 10**num_digits)


def add_up(parts: list[int], slip: Slip, equations: list[str]) -> int:
    """Adds ``parts`` from the left, one equation each."""
    total = parts[0]
    for part in parts[1:]:
        right = slip(total + part)
        equations.append(f"{total}+{part}={right}" if part >= 0 else f"{total}-{-part}={right}")
        total = right
    return total


class Unhurried:
    """Tasks whose steps are small already: rough work is careful work."""

    __slots__ = ()

    def careful(self, rng: Random, slip: Slip) -> Work:
        raise NotImplementedError

    def rough(self, rng: Random, slip: Slip) -> Work:
        return self.careful(rng, slip)


@dataclass(frozen=True, slots=True)
class Product:
    """a * b, worked by the places of one factor."""

    a: int
    b: int

    @property
    def answer(self) -> int:
        return self.a * self.b

    def question(self, rng: Random, chinese: bool) -> str:
        a, b = self.a, self.b
        if chinese:
            return rng.choice(
                (f"计算 {a} * {b}。", f"{a} 乘以 {b} 等于多少？", f"求 {a} * {b} 的结果。")
            )
        return rng.choice(
            (
                f"Solve the following multiplication: {a} * {b}. "
                "Give only the result as your final answer.",
                f"Solve the following multiplication: {a} * {b}.",
                f"Calculate {a} * {b}.",
                f"What is {a} * {b}?",
                f"What is {a} times {b}?",
                f"Multiply {a} by {b}.",
                f"Find the product of {a} and {b}.",
                f"{a} * {b} = ?",
            )
        )

    def expression(self) -> str:
        return f"{self.a}*{self.b}"

    def careful(self, rng: Random, slip: Slip) -> Work:
        digits = str(self.b)
        factors = [int(digit) * 10 ** (len(digits) - 1 - i) for i, digit in enumerate(digits)]
        return self.by_parts([factor for factor in factors if factor], slip)

    def rough(self, rng: Random, slip: Slip) -> Work:
        """The first place of b, then all the rest of b in one go."""
        place = int("1" + "0" * (len(str(self.b)) - 1))
        rest = self.b % place
        return self.by_parts([self.b - rest, rest] if rest else [self.b], slip)

    def by_parts(self, factors: list[int], slip: Slip) -> Work:
        equations: list[str] = []
        parts: list[int] = []
        for factor in factors:
            parts.append(slip(self.a * factor))
            equations.append(f"{self.a}*{factor}={parts[-1]}")
        return Work(equations, add_up(parts, slip, equations))


@dataclass(frozen=True, slots=True)
class ChainSum(Unhurried):
    """Terms added and subtracted, worked as running sums."""

    terms: tuple[int, ...]

    @property
    def answer(self) -> int:
        return sum(self.terms)

    def spaced(self) -> str:
        first, *rest = self.terms
        return str(first) + "".join(f" {'+' if t >= 0 else '-'} {abs(t)}" for t in rest)

    def question(self, rng: Random, chinese: bool) -> str:
        text = self.spaced()
        if chinese:
            return rng.choice((f"计算 {text}。", f"{text} 等于多少？", f"求 {text} 的结果。"))
        return rng.choice(
            (
                f"State the final answer to the following arithmetic problem: {text} =",
                f"Calculate {text}.",
                f"What is {text}?",
                f"Work out {text}.",
                f"{text} = ?",
                f"Add these up: {text}.",
            )
        )

    def expression(self) -> str:
        return self.spaced().replace(" ", "")

    def careful(self, rng: Random, slip: Slip) -> Work:
        equations: list[str] = []
        return Work(equations, add_up(list(self.terms), slip, equations))


@dataclass(frozen=True, slots=True)
class Mixed:
    """a * b + c, product first."""

    a: int
    b: int
    c: int

    @property
    def answer(self) -> int:
        return self.a * self.b + self.c

    def expression(self) -> str:
        return f"{self.a}*{self.b}{'+' if self.c >= 0 else '-'}{abs(self.c)}"

    def question(self, rng: Random, chinese: bool) -> str:
        text = f"{self.a} * {self.b} {'+' if self.c >= 0 else '-'} {abs(self.c)}"
        if chinese:
            return rng.choice((f"计算 {text}。", f"{text} 等于多少？"))
        return rng.choice((f"Calculate {text}.", f"What is {text}?", f"Evaluate: {text}."))

    def careful(self, rng: Random, slip: Slip) -> Work:
        return self.after(Product(self.a, self.b).careful(rng, slip), slip)

    def rough(self, rng: Random, slip: Slip) -> Work:
        product = slip(self.a * self.b)
        return self.after(Work([f"{self.a}*{self.b}={product}"], product), slip)

    def after(self, product: Work, slip: Slip) -> Work:
        equations = list(product.equations)
        return Work(equations, add_up([product.value, self.c], slip, equations))


@dataclass(frozen=True, slots=True)
class Gcd(Unhurried):
    """The greatest common divisor, by Euclid's remainders."""

    a: int
    b: int

    @property
    def answer(self) -> int:
        return math.gcd(self.a, self.b)

    def expression(self) -> str:
        return f"gcd({self.a},{self.b})"

    def question(self, rng: Random, chinese: bool) -> str:
        a, b = self.a, self.b
        if chinese:
            return rng.choice((f"求 {a} 和 {b} 的最大公约数。", f"{a} 和 {b} 的最大公约数是多少？"))
        return rng.choice(
            (
                f"Find the greatest common divisor of {a} and {b}.",
                f"Find the Greatest Common Divisor (GCD) of these numbers: {a}, {b}. "
                "Give only the GCD as your final answer.",
                f"What is the GCD of {a} and {b}?",
            )
        )

    def careful(self, rng: Random, slip: Slip) -> Work:
        big, small = max(self.a, self.b), min(self.a, self.b)
        equations: list[str] = []
        while small:
            rest = min(small - 1, abs(slip(big % small)))
            equations.append(f"{big}%{small}={rest}")
            big, small = small, rest
        return Work(equations, big)


@dataclass(frozen=True, slots=True)
class Equation(Unhurried):
    """a*x + b = c with a whole solution."""

    a: int
    b: int
    x: int
    letter: str

    @property
    def answer(self) -> int:
        return self.x

    def expression(self) -> str:
        return self.letter

    def question(self, rng: Random, chinese: bool) -> str:
        right = self.a * self.x + self.b
        sign = "+" if self.b >= 0 else "-"
        text = f"{self.a}*{self.letter} {sign} {abs(self.b)} = {right}"
        if chinese:
            return f"解方程：{text}，求 {self.letter}。"
        return rng.choice(
            (
                f"Solve for {self.letter}: {text}",
                f"Find the value of {self.letter} in the equation: {text}",
            )
        )

    def careful(self, rng: Random, slip: Slip) -> Work:
        right = self.a * self.x + self.b
        moved = slip(right - self.b)
        sign = "-" if self.b >= 0 else "+"
        result = slip(round(moved / self.a))
        return Work([f"{right}{sign}{abs(self.b)}={moved}", f"{moved}/{self.a}={result}"], result)


@dataclass(frozen=True, slots=True)
class Largest(Unhurried):
    """The largest of several numbers, found by going through them."""

    numbers: tuple[int, ...]

    @property
    def answer(self) -> int:
        return max(self.numbers)

    def expression(self) -> str:
        return f"max({','.join(map(str, self.numbers))})"

    def question(self, rng: Random, chinese: bool) -> str:
        text = ", ".join(map(str, self.numbers))
        if chinese:
            return f"下面哪个数最大：{text}？"
        return rng.choice(
            (f"Which of these numbers is the largest: {text}?", f"Find the largest: {text}.")
        )

    def careful(self, rng: Random, slip: Slip) -> Work:
        best = self.numbers[0]
        equations: list[str] = []
        for candidate in self.numbers[1:]:
            winner = max(best, candidate)
            if slip(winner) != winner:
                winner = min(best, candidate)
            equations.append(f"max({best},{candidate})={winner}")
            best = winner
        return Work(equations, best)


Sizes = Mapping[tuple[int, int], float]
"""(digits of the first factor, of the second) -> share among products."""

THREE_DIGITS: Sizes = {
    (1, 1): 0.03,
    (2, 1): 0.05,
    (3, 1): 0.08,
    (2, 2): 0.20,
    (3, 2): 0.05,
    (2, 3): 0.05,
    (3, 3): 0.54,
}
"""The bundled base: mostly two factors of three digits."""


def draw_product(rng: Random, sizes: Sizes = THREE_DIGITS) -> Task:
    size, other = rng.choices(list(sizes), list(sizes.values()))[0]
    return Product(number(rng, size), number(rng, other))


def draw_chain(rng: Random) -> Task:
    size = rng.choices((1, 2, 3, 4, 5, 6), (0.25, 0.25, 0.15, 0.1, 0.15, 0.1))[0]
    count = rng.choices((2, 3, 4, 5, 6), (0.4, 0.25, 0.15, 0.1, 0.1))[0] if size < 5 else 2
    terms = [number(rng, size) * rng.choice((1, 1, -1)) for _ in range(count)]
    return ChainSum((abs(terms[0]), *terms[1:]))


def draw_mixed(rng: Random) -> Task:
    a, b = number(rng, rng.randint(1, 2)), number(rng, rng.randint(1, 2))
    return Mixed(a, b, number(rng, rng.randint(1, 3)) * rng.choice((1, -1)))


def draw_gcd(rng: Random) -> Task:
    common = rng.choice((1, 1, 2, 3, 4, 5, 6, 7, 10, 12, 15, 20))
    return Gcd(common * rng.randint(1, 60), common * rng.randint(1, 60))


def draw_equation(rng: Random) -> Task:
    sign = rng.choice((1, -1))
    return Equation(rng.randint(2, 20), sign * rng.randint(1, 99), rng.randint(1, 60),
                    rng.choice("abcdehkmnpqrstuvwxyz"))  # fmt: skip


def draw_largest(rng: Random) -> Task:
    size = rng.randint(1, 4)
    return Largest(tuple(number(rng, size) for _ in range(rng.randint(2, 6))))


TASKS: dict[str, tuple[float, Callable[[Random], Task]]] = {
    "product": (0.66, draw_product),
    "chain_sum": (0.18, draw_chain),
    "mixed": (0.05, draw_mixed),
    "gcd": (0.03, draw_gcd),
    "equation": (0.04, draw_equation),
    "largest": (0.04, draw_largest),
}
"""Share and maker of each kind of problem."""
