"""A stream of several sources in which every take has exactly the share of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from ponder.errors import PonderError
from ponder.problems.mixed import MixedTrain
from ponder.types import Problem


class QuotaStream:
    """Each source of a mixture in its own order; how many of each a take has follows from weights.

    What a quota leaves over of a whole problem is carried to the next take, so that after any
    number of takes every source is within a problem or so of its share. A source may join later:
    until then the others share what is taken.

    Args:
        source: the mixture.
        opens: by source, how many problems are taken before it joins.
    """

    def __init__(self, source: MixedTrain, opens: Sequence[int] | None = None) -> None:
        self.source = source
        self.position = 0
        self._opens = list(opens) if opens is not None else [0] * len(source.parts)
        self._weights = [Fraction(str(weight)) for weight in source.weights]
        self._taken = [0] * len(source.parts)
        self._credit = [Fraction(0)] * len(source.parts)
        self._offsets = _offsets([part.name for part in source.parts], source.size)

    def take(self, n: int) -> list[Problem]:
        """The next ``n`` problems, those of a source together."""
        counts = self._quotas(n)
        problems = []
        for i, count in enumerate(counts):
            for place in range(self._taken[i], self._taken[i] + count):
                index = (self._offsets[i] + place) % self.source.size
                problems.append(self.source.parts[i][index])
            self._taken[i] += count
        self.position += n
        return problems

    def _quotas(self, n: int) -> list[int]:
        """How many of the next ``n`` each source gives: the largest claims first."""
        is_open = [self.position >= opens for opens in self._opens]
        total = sum(w for w, yes in zip(self._weights, is_open, strict=True) if yes)
        if not total:
            raise PonderError("problems.mixture", self.position, "no source is open yet")
        for i, yes in enumerate(is_open):
            self._credit[i] += n * self._weights[i] / total if yes else 0
        counts = [0] * len(self._weights)
        for _ in range(n):
            most = max((i for i, yes in enumerate(is_open) if yes), key=lambda i: self._credit[i])
            counts[most] += 1
            self._credit[most] -= 1
        return counts

    def state(self) -> dict[str, Any]:
        """Where every source is, as JSON: what ``restore`` takes to go on exactly here."""
        return {
            "position": self.position,
            "length": len(self.source),
            "source": self.source.name,
            "taken": list(self._taken),
            "credit": [str(credit) for credit in self._credit],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken. PonderError if that was another source."""
        mine = self.state()
        for key in ("source", "length"):
            if state.get(key) != mine[key]:
                fix = f"the checkpoint was made with {state.get(key)!r}; use the same problems"
                raise PonderError("problems", mine[key], fix)
        if "taken" not in state or len(state["taken"]) != len(self._taken):
            fix = "the checkpoint is of a version without quotas for mixtures: start a new run"
            raise PonderError("problems.mixture", self.source.name, fix)
        self.position = int(state["position"])
        self._taken = [int(taken) for taken in state["taken"]]
        self._credit = [Fraction(credit) for credit in state["credit"]]


def _offsets(names: Sequence[str], size: int) -> list[int]:
    """Where each source begins: sources of one name apart, so that ids do not meet at once."""
    num_named, seen = Counter(names), Counter[str]()
    offsets = []
    for name in names:
        offsets.append(seen[name] * size // num_named[name])
        seen[name] += 1
    return offsets
