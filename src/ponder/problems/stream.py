"""The order in which training sees its problems: shuffled epochs, resumable at any position."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from ponder.errors import PonderError
from ponder.types import Problem, ProblemSource


class ProblemStream:
    """An endless stream in which every epoch is a new shuffle of the whole source.

    The order follows from (seed, epoch, length of the source), so ``restore`` costs one shuffle
    however far the stream has come. Near the end of an epoch a problem may come twice in one take.
    """

    def __init__(self, source: ProblemSource, seed: int) -> None:
        if not len(source):
            raise PonderError("problems", source.name, "there are no problems to train on")
        self.source = source
        self.seed = seed
        self.position = 0
        self._epoch = -1
        self._order: list[int] = []

    def take(self, n: int) -> list[Problem]:
        """The next ``n`` problems."""
        taken = [self.source[self._index(self.position + i)] for i in range(n)]
        self.position += n
        return taken

    def state(self) -> dict[str, Any]:
        """The position, as JSON: what ``restore`` takes to go on exactly here."""
        return {"position": self.position, "length": len(self.source), "source": self.source.name}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken. PonderError if that was another source."""
        mine = self.state()
        for key in ("source", "length"):
            if state[key] != mine[key]:
                fix = f"the checkpoint was made with {state[key]!r}; resume with the same problems"
                raise PonderError("problems", mine[key], fix)
        self.position = int(state["position"])

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, len(self.source))
        if epoch != self._epoch:
            self._order = list(range(len(self.source)))
            Random(f"{self.seed}/{epoch}").shuffle(self._order)
            self._epoch = epoch
        return self._order[place]
