"""What a run of fine-tuning amounted to: RUN/summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponder.train.summary import Summary


@dataclass(frozen=True, slots=True)
class SFTSummary(Summary):
    """The end of a run of fine-tuning; losses are nats per completion token.

    ``heldout_loss`` is (of the first model, of the last), where there are held-out samples.
    """

    first_loss: float | None
    last_loss: float | None
    heldout_loss: tuple[float, float] | None
    data: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """What RL's has, and the losses and counts."""
        return {
            **Summary.to_json(self),  # slots make a new class, which super() doesn't know
            "first_loss": self.first_loss,
            "last_loss": self.last_loss,
            "heldout_loss": self.heldout_loss,
            "data": dict(self.data),
        }
