"""Documents: a problem, a way of thinking about it, and a wrapper around both.

What is written here is what the base model can do before any reward: mostly quick guesses, some
step-by-step work with slips, and, rarely, work that is checked by a careful second procedure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from random import Random

from ponder.corpus.phrases import CHINESE, ENGLISH, Phrases
from ponder.corpus.tasks import (
    TASKS,
    Product,
    Sizes,
    Task,
    draw_product,
    estimate,
    exact,
    miswrite,
    slipper,
)
from ponder.corpus.wrappers import WRAPPERS
from ponder.errors import PonderError

MOST_CHECKS = 3
FAR_FROM = 100_000


@dataclass(frozen=True, slots=True)
class StyleShares:
    """Share of each way of thinking among worked problems, and the rates of injected slips.

    ``direct``: a one-shot answer. ``hunch``: the same with some words around it. ``steps``: rough
    work, with slips. ``cosmetic``: a first try and a check in words only. ``checked``: a
    first try, then careful work, then a comparison. ``double``: checked twice. ``thorough``: a
    check that differs from what came before is checked again, the other way round, until two
    results agree (``MOST_CHECKS`` at most); its first check slips at ``first_check_slip_rate``.
    Apart from worked problems, a share ``tables`` of all documents are lists of single true
    equations. ``far``: of the guesses at a number of six digits or more, the share that know its
    first and last digits only, so that nothing can be copied from them.
    """

    direct: float = 0.53
    hunch: float = 0.15
    steps: float = 0.20
    cosmetic: float = 0.015
    checked: float = 0.09
    double: float = 0.015
    thorough: float = 0.0
    careful_slip_rate: float = 0.002
    steps_slip_rate: float = 0.08
    guess_right_rate: float = 0.6
    first_check_slip_rate: float = 0.03
    far: float = 0.0
    tables: float = 0.15

    @classmethod
    def from_mapping(cls, shares: Mapping[str, float]) -> StyleShares:
        """The defaults with ``shares`` on top; PonderError for an unknown name."""
        known = {item.name for item in fields(cls)}
        for name in shares:
            if name not in known:
                raise PonderError(
                    f"corpus.styles.{name}", shares[name], f"use one of {', '.join(sorted(known))}"
                )
        return cls(**shares)

    def styles(self) -> dict[str, float]:
        """The shares alone, by style."""
        names = ("direct", "hunch", "steps", "cosmetic", "checked", "double", "thorough")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the corpus with its labels (the labels are never seen by a model)."""

    text: str
    task: str
    style: str
    wrapper: str
    is_chinese: bool
    is_correct: bool


def never(question: str) -> bool:
    """Excludes nothing."""
    return False


@dataclass(frozen=True, slots=True)
class Thinker:
    """Writes one thought about a task in one language."""

    rng: Random
    phrases: Phrases
    shares: StyleShares

    def pick(self, bank: tuple[str, ...], **values: object) -> str:
        return self.rng.choice(bank).format(**values)

    def guess(self, task: Task) -> int:
        far = self.shares.far
        if far and task.answer >= FAR_FROM and self.rng.random() < far:
            return estimate(self.rng, task.answer)
        right = self.rng.random() < self.shares.guess_right_rate
        return task.answer if right else miswrite(self.rng, task.answer)

    def careful(self, task: Task, slip_rate: float | None = None) -> tuple[str, int]:
        """Work without slips (nearly): the equations joined, and the value."""
        rate = self.shares.careful_slip_rate if slip_rate is None else slip_rate
        work = task.careful(self.rng, slipper(self.rng, rate))
        return self.rng.choice(self.phrases.joiner).join(work.equations), work.value

    def direct(self, task: Task) -> tuple[str, int]:
        value = self.guess(task)
        return self.pick(self.phrases.direct, e=task.expression(), v=value), value

    def hunch(self, task: Task) -> tuple[str, int]:
        value = self.guess(task)
        return self.pick(self.phrases.hunch, e=task.expression(), v=value), value

    def steps(self, task: Task) -> tuple[str, int]:
        work = task.rough(self.rng, slipper(self.rng, self.shares.steps_slip_rate))
        joined = self.rng.choice(self.phrases.joiner).join(work.equations)
        text = self.pick(self.phrases.begin) + joined
        return text + self.pick(self.phrases.conclude, v=work.value), work.value

    def cosmetic(self, task: Task) -> tuple[str, int]:
        text, value = self.first_try(task)
        return text + self.pick(self.phrases.cosmetic, v=value), value

    def checked(self, task: Task) -> tuple[str, int]:
        text, first = self.first_try(task)
        work, value = self.careful(task)
        text += self.pick(self.phrases.check) + work
        return text + self.compare(first, value), value

    def double(self, task: Task) -> tuple[str, int]:
        text, first = self.checked(task)
        work, value = self.careful(task)
        text += self.pick(self.phrases.again) + work
        return text + self.compare(first, value), value

    def thorough(self, task: Task) -> tuple[str, int]:
        text, value = self.first_try(task)
        results: list[int] = []
        slip_rate: float | None = self.shares.first_check_slip_rate
        bank = self.phrases.check
        while value not in results and len(results) < MOST_CHECKS:
            results.append(value)
            work, value = self.careful(task, slip_rate)
            text += self.pick(bank) + work + self.compare(results[-1], value, results)
            task, slip_rate, bank = other_way(task), None, self.phrases.again
        return text, value

    def first_try(self, task: Task) -> tuple[str, int]:
        return self.direct(task) if self.rng.random() < 0.75 else self.hunch(task)

    def compare(self, first: int, value: int, earlier: Collection[int] = ()) -> str:
        """What is said of ``value`` after ``first``; it also stands if it is one of ``earlier``."""
        if first == value or value in earlier:
            return self.pick(self.phrases.matches, v=value)
        return self.pick(self.phrases.mistake, g=first, v=value)

    def think(self, style: str, task: Task) -> tuple[str, int]:
        """The thought in ``style`` and the value that it ends in."""
        writers: dict[str, Callable[[Task], tuple[str, int]]] = {
            "direct": self.direct,
            "hunch": self.hunch,
            "steps": self.steps,
            "cosmetic": self.cosmetic,
            "checked": self.checked,
            "double": self.double,
            "thorough": self.thorough,
        }
        return writers[style](task)


@dataclass(frozen=True, slots=True)
class DocumentWriter:
    """Writes document ``index`` of the corpus; the same (seed, index) gives the same text.

    Args:
        excluded: says of a canonical question whether it is held out; such products never appear.
        sizes: of the factors of products; without it those of the bundled base.
    """

    seed: int = 0
    shares: StyleShares = field(default_factory=StyleShares)
    excluded: Callable[[str], bool] = never
    sizes: Sizes = field(default_factory=dict)

    def document(self, index: int) -> Document:
        rng = Random((self.seed << 40) + index)
        if rng.random() < self.shares.tables:
            return self.table(rng)
        name, task = self.draw_task(rng)
        styles = self.shares.styles()
        style = rng.choices(list(styles), list(styles.values()))[0]
        wrapper = rng.choices(list(WRAPPERS), [share for share, _ in WRAPPERS.values()])[0]
        chinese = wrapper == "chinese" or (wrapper != "r1_zero" and rng.random() < 0.05)
        question_chinese = chinese and rng.random() < 0.9
        if wrapper == "r1_zero" and rng.random() < 0.08:
            question_chinese, chinese = rng.random() < 0.7, rng.random() < 0.7
        phrases = CHINESE if chinese else ENGLISH
        thought, value = Thinker(rng, phrases, self.shares).think(style, task)
        final = rng.choice(phrases.final).format(v=value)
        question = task.question(rng, question_chinese)
        text = WRAPPERS[wrapper][1](rng, question, thought, final, value)
        return Document(text, name, style, wrapper, chinese, value == task.answer)

    def table(self, rng: Random) -> Document:
        """Single true equations, each from the careful work of another problem."""
        lines = []
        for _ in range(rng.randint(4, 10)):
            _, task = self.draw_task(rng)
            lines.append(rng.choice(task.careful(rng, exact).equations))
        head = rng.choice(("", "", "Table:\n", "Practice:\n", "算术表：\n"))
        return Document(head + "\n".join(lines), "table", "table", "table", False, True)

    def draw_task(self, rng: Random) -> tuple[str, Task]:
        names = list(TASKS)
        while True:
            name = rng.choices(names, [TASKS[key][0] for key in names])[0]
            sized = name == "product" and self.sizes
            task = draw_product(rng, self.sizes) if sized else TASKS[name][1](rng)
            if isinstance(task, Product) and any(map(self.excluded, canonical_questions(task))):
                continue
            return name, task


def other_way(task: Task) -> Task:
    """The same problem with the factors turned round, where there are any."""
    return Product(task.b, task.a) if isinstance(task, Product) else task


def canonical_questions(product: Product) -> tuple[str, str]:
    """The question as reasoning-gym's ``products`` asks it, in both orders of the factors."""
    pattern = (
        "Solve the following multiplication: {} * {}. Give only the result as your final answer."
    )
    return pattern.format(product.a, product.b), pattern.format(product.b, product.a)
