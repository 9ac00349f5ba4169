"""The two sides of a mixture. What stands at a position follows from (seed, position) alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from random import Random
from typing import Protocol

from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint, is_heldout
from ponder.problems.sources import Found, first_in_lane
from ponder.seeds import derive_seed
from ponder.types import Problem, ProblemSource


def draw_part(seed: int, position: int, weights: Sequence[float]) -> int:
    """Which part a position is given to, by weight, from (seed, position)."""
    bounds = list(accumulate(weights))
    draw = derive_seed(seed, "mixture", position) / 2**63 * bounds[-1]
    return bisect_right(bounds[:-1], draw)


class MixedTrain:
    """Position k holds what stands at position k of the part that is drawn for it.

    ``general`` says of each part whether reward models judge its problems.
    """

    def __init__(
        self,
        parts: Sequence[ProblemSource],
        weights: Sequence[float],
        seed: int,
        size: int,
        general: Sequence[bool] | None = None,
    ) -> None:
        self.name = "+".join(part.name for part in parts)
        self.parts = list(parts)
        self.weights = list(weights)
        self.seed = seed
        self.size = size
        self.general = list(general) if general is not None else [False] * len(self.parts)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Problem:
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self.parts[draw_part(self.seed, index, self.weights)][index]


class InDomain:
    """A source whose problems say of which domain they are."""

    def __init__(self, source: ProblemSource, domain: str) -> None:
        self.name = source.name
        self.source = source
        self.domain = domain

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Problem:
        problem = self.source[index]
        return replace(problem, metadata={**problem.metadata, "domain": self.domain})


class ShuffledEpochs:
    """Rows as a source of ``size`` positions: each epoch is another shuffle of all of them.

    A row comes under another id in each epoch, so that two of them in one step are not sampled
    alike.
    """

    def __init__(self, name: str, problems: Sequence[Problem], key: str, size: int) -> None:
        if not problems:
            raise PonderError("problems", name, "no training problems are left of it")
        self.name = name
        self.problems = list(problems)
        self.key = key
        self.size = size
        self._orders: dict[int, list[int]] = {}  # of all epochs together at most ``size`` numbers

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Problem:
        if not 0 <= index < self.size:
            raise IndexError(index)
        epoch, place = divmod(index, len(self.problems))
        problem = self.problems[self._order(epoch)[place]]
        again = f"#{epoch}" if epoch else ""
        return replace(problem, id=f"{self.name}/{problem.id}{again}")

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            order = list(range(len(self.problems)))
            Random(f"{self.key}/{epoch}").shuffle(order)
            self._orders[epoch] = order
        return self._orders[epoch]


class Part(Protocol):
    """Where held-out problems of one source come from."""

    name: str

    def is_exhausted(self) -> bool: ...

    def take(self, lane: int, seen: set[str]) -> tuple[Problem | None, str]:
        """A held-out problem whose fingerprint is not among ``seen``, or None and why not."""
        ...


class EndlessPart:
    """Held-out problems of an endless source that are nobody's training problems."""

    def __init__(self, source: ProblemSource, training: frozenset[str]) -> None:
        self.name = source.name
        self.source = source
        self.training = training

    def is_exhausted(self) -> bool:
        return False

    def take(self, lane: int, seen: set[str]) -> tuple[Problem | None, str]:
        def is_wanted(question: str) -> bool:
            if not is_heldout(question):
                return False
            return (print_ := fingerprint(question)) not in seen and print_ not in self.training

        return first_in_lane(self.source, lane, is_wanted)


class TablePart:
    """Held-out rows in their order, each once."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name = name
        self.problems = list(problems)
        self.position = 0

    def is_exhausted(self) -> bool:
        return self.position >= len(self.problems)

    def take(self, lane: int, seen: set[str]) -> tuple[Problem | None, str]:
        while not self.is_exhausted():
            problem = self.problems[self.position]
            self.position += 1
            if fingerprint(problem.question) not in seen:
                return replace(problem, id=f"{self.name}/{problem.id}"), ""
        return None, f"no more rows of {self.name} are held out"


class MixedHeldout(Found):
    """Held-out problems of several parts; one whose rows are used up is drawn no more."""

    def __init__(
        self, parts: Sequence[Part], weights: Sequence[float], seed: int, size: int
    ) -> None:
        super().__init__("+".join(part.name for part in parts), size)
        self.parts = list(parts)
        self.weights = list(weights)
        self.seed = seed

    def take(self, lane: int, seen: set[str]) -> tuple[Problem | None, str]:
        alive = [i for i, part in enumerate(self.parts) if not part.is_exhausted()]
        if not alive:
            return None, "all rows are used up"
        drawn = draw_part(self.seed, lane, [self.weights[i] for i in alive])
        return self.parts[alive[drawn]].take(lane, seen)
