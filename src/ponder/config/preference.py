"""Knobs of R1's second stage of RL: general problems, which trained reward models judge."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.errors import PonderError


class PreferenceConfig(Config):
    """Reward models for the problems of a mixture whose verifier is "helpful" or "safety"."""

    helpful: Path | None = None
    """Folder of the reward model for verifier = "helpful" (a checkpoint of a reward_model run)."""
    safety: Path | None = None
    """Folder of the reward model for verifier = "safety"."""
    start: float = Field(default=0.0, ge=0)
    """Before it no general problem is asked: a share of the steps (below 1), or a step number."""
    stop: bool = True
    """End the run when a preference reward rises while reasoning accuracy falls."""

    @model_validator(mode="after")
    def _starts_at_a_step(self) -> PreferenceConfig:
        if self.start >= 1 and self.start != int(self.start):
            fix = "from 1 on this is the number of a step: use a whole number, or a share below 1"
            raise PonderError("preference.start", self.start, fix)
        return self

    def first_step(self, steps: int) -> int:
        """The first step of a run of so many that has general problems."""
        return round(self.start * steps) if self.start < 1 else int(self.start)
