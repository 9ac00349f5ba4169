"""What training a reward model amounted to: RUN/summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponder.train.summary import Summary


@dataclass(frozen=True, slots=True)
class RewardSummary(Summary):
    """The end of a run; ``before`` and ``after`` of a ``Summary`` are None, for nothing is sampled.

    ``accuracy`` is (of the untrained head, of the last model, its standard error) on held-out
    examples, ``longer`` (share of pairs whose longer completion it prefers, whose longer one was
    chosen); None of a run that was stopped early, or where the pairs cannot say.
    """

    objective: str
    accuracy: tuple[float, float, float] | None
    longer: tuple[float, float] | None
    data: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """What RL's has, and the accuracy and counts."""
        return {
            **Summary.to_json(self),  # slots make a new class, which super() doesn't know
            "objective": self.objective,
            "accuracy": self.accuracy,
            "longer": self.longer,
            "data": dict(self.data),
        }
