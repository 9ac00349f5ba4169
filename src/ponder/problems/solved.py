"""Problems with their worked solutions, of named sources whose rows have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.tabular import raw_rows, tabular_problems
from ponder.types import Problem


@dataclass(frozen=True, slots=True)
class Solved:
    """A training problem and its solution as the data set has it, without the final answer."""

    problem: Problem
    solution: str

    @property
    def answer(self) -> str:
        """The reference answer in plain digits, without thousands' commas."""
        return self.problem.answer.replace(",", "")


@dataclass(frozen=True, slots=True)
class _Field:
    """The field of a row that holds the solution; ``before``: what ends it there."""

    name: str
    before: str = ""


SOLUTIONS: Mapping[str, _Field] = {
    "gsm8k": _Field("answer", before="####"),
    "math": _Field("solution"),
}
"""By the value of ``problems.name``."""


def solved_problems(config: ProblemsConfig) -> Iterator[Solved]:
    """The training problems, none of which is held out, in the source's order.

    Raises:
        PonderError: a source without worked solutions, or one that cannot be read.
    """
    field = SOLUTIONS.get(config.name or "")
    if field is None:
        fix = f"its rows have no worked solutions; use one of {', '.join(SOLUTIONS)}"
        raise PonderError("problems.name", config.name, fix)
    rows = {row.place: row.fields for row in raw_rows(config)}
    train = tabular_problems(config).train
    for index in range(len(train)):
        problem = train[index]
        text = str(rows[problem.id].get(field.name, ""))
        solution = text.rpartition(field.before)[0] if field.before else text
        if solution.strip():
            yield Solved(problem, solution.strip())
