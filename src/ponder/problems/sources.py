"""Problem sources made of others: a list, one side of an endless source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint, is_heldout
from ponder.types import Problem, ProblemSource
from ponder.verify.gym_entries import GymEntryError
from ponder.verify.verifiers import reference_fault

LANE = 64
"""Consecutive indices of an endless source among which one problem of a side is looked for."""
PATIENCE_LANES = 50
"""Lanes in a row without a new held-out question after which there are taken to be no more."""


class ListSource:
    """Problems held in memory."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name = name
        self.problems = list(problems)

    def __len__(self) -> int:
        return len(self.problems)

    def __getitem__(self, index: int) -> Problem:
        return self.problems[index]


class TrainSide:
    """``size`` problems of an endless source that are not held out and whose reference verifies.

    Problem k is the first such one in lane k, so any position costs the same and none is replayed.
    ``excluded`` are fingerprints of questions that are held out elsewhere.
    """

    def __init__(
        self, source: ProblemSource, size: int, excluded: frozenset[str] = frozenset()
    ) -> None:
        self.name = source.name
        self.source = source
        self.size = size
        self.excluded = excluded

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Problem:
        if not 0 <= index < self.size:
            raise IndexError(index)
        problem, fault = first_in_lane(self.source, index, self._is_wanted)
        if problem is None:
            fix = f"no usable training problem among {LANE}: {fault}; choose other settings"
            raise PonderError("problems.task", self.name, fix)
        return problem

    def _is_wanted(self, question: str) -> bool:
        if is_heldout(question):
            return False
        return not self.excluded or fingerprint(question) not in self.excluded


class Found(ABC):
    """Up to ``size`` different problems, found in order and kept.

    Raises PonderError when a position is asked for that there are not enough questions for.
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = f"{name} (held out)"
        self.size = size
        self._found: list[Problem] = []
        self._seen: set[str] = set()
        self._lane = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Problem:
        if not 0 <= index < self.size:
            raise IndexError(index)
        while len(self._found) <= index:
            self._find_next()
        return self._found[index]

    @abstractmethod
    def take(self, lane: int, seen: set[str]) -> tuple[Problem | None, str]:
        """A problem of this lane that is not among the fingerprints seen, or None and why."""

    def _find_next(self) -> None:
        fault = ""
        for _ in range(PATIENCE_LANES):
            problem, fault = self.take(self._lane, self._seen)
            self._lane += 1
            if problem is not None:
                self._seen.add(fingerprint(problem.question))
                self._found.append(problem)
                return
        count = len(self._found)
        fix = (
            f"{self.name}: only {count} different held-out questions ({fault}); "
            f"ask for at most {count}, or choose a source or settings that give more"
        )
        raise PonderError("eval.num_problems", f"more than {count}", fix)


class HeldoutSide(Found):
    """Held-out problems of an endless source."""

    def __init__(self, source: ProblemSource, size: int) -> None:
        super().__init__(source.name, size)
        self.source = source

    def take(self, lane: int, seen: set[str]) -> tuple[Problem | None, str]:
        def is_new(question: str) -> bool:
            return is_heldout(question) and fingerprint(question) not in seen

        return first_in_lane(self.source, lane, is_new)


def first_in_lane(
    source: ProblemSource, lane: int, wanted: Callable[[str], bool]
) -> tuple[Problem | None, str]:
    """The lane's first problem with a wanted question and a reference that verifies.

    Without one: None and why the last candidate was no good.
    """
    fault = ""
    for index in range(lane * LANE, (lane + 1) * LANE):
        try:
            problem = source[index]
        except GymEntryError as error:
            fault = str(error)
            continue
        if not wanted(problem.question):
            fault = fault or "the questions are on the other side of the split or seen before"
        elif not (found := reference_fault(problem)):
            return problem, ""
        else:
            fault = f"the reference answer {problem.answer!r} does not verify: {found}"
    return None, fault
