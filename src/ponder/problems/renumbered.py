"""Training problems asked again with other numbers, so that an answer known by heart is no help."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from random import Random

from ponder.config.rl import ProblemsConfig
from ponder.problems.fingerprint import fingerprint
from ponder.problems.problem_set import ProblemSet
from ponder.problems.solved import Solved, solved_problems
from ponder.problems.variations import Variation, variations
from ponder.seeds import derive_seed
from ponder.types import Problem


def with_new_numbers(made: ProblemSet, config: ProblemsConfig, seed: int) -> ProblemSet:
    """``made``, whose training problems come ``config.new_numbers`` times more, in other numbers.

    Raises:
        PonderError: the source has no worked solutions to calculate the answers anew from.
    """
    solved = {one.problem.id: one for one in solved_problems(config)}
    train = [made.train[index] for index in range(len(made.train))]
    heldout = {fingerprint(made.heldout[index].question) for index in range(len(made.heldout))}
    worked = [solved.get(problem.id, Solved(problem, "")) for problem in train]
    source = Renumbered(made.train.name, worked, config.new_numbers, seed, heldout)
    return replace(made, train=source)


class Renumbered:
    """All problems as they are, then all of them once more with other numbers, ``times`` times.

    One that cannot be traced comes as it is every time: it is not asked more often than others.
    Variations are made when they are first asked for, some milliseconds a problem.
    ``excluded`` are fingerprints of held-out questions.
    """

    def __init__(
        self,
        name: str,
        problems: Sequence[Solved],
        times: int,
        seed: int,
        excluded: Collection[str] = (),
    ) -> None:
        self.name = name
        self.problems = list(problems)
        self.times = times
        self.seed = seed
        self.excluded = frozenset(excluded)
        self._made: dict[int, list[Variation]] = {}

    def __len__(self) -> int:
        return len(self.problems) * (1 + self.times)

    def __getitem__(self, index: int) -> Problem:
        if not 0 <= index < len(self):
            raise IndexError(index)
        lap, place = divmod(index, len(self.problems))
        problem = self.problems[place].problem
        if lap == 0:
            return problem
        name = f"{problem.id}/{lap}"
        others = self._variations(place)
        if not others:
            return replace(problem, id=name)
        other = others[(lap - 1) % len(others)]
        return replace(problem, id=name, question=other.question, answer=other.answer)

    def _variations(self, place: int) -> list[Variation]:
        if place not in self._made:
            solved = self.problems[place]
            rng = Random(derive_seed(self.seed, "new numbers", solved.problem.id))
            question, answer = solved.problem.question, solved.answer
            made = variations(question, solved.solution, answer, self.times, rng)
            self._made[place] = [v for v in made if fingerprint(v.question) not in self.excluded]
        return self._made[place]
