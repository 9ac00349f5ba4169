"""Every knob of rejection sampling: the rows of the second fine-tuning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.curate import FilterConfig
from ponder.config.sampling_stage import SampledConfig
from ponder.errors import PonderError


class GeneralConfig(Config):
    """Rows that are not reasoning (the input "general"; paper: 200,000 beside 600,000)."""

    counts: list[int] = Field(default_factory=list)
    """Rows of each file, in the order of the input; empty: all of them, or as the share says."""
    share: float = Field(default=0.0, ge=0, lt=1)
    """Or: their share of all rows together (paper: 0.25), from each file in proportion."""
    allow_repeats: bool = False
    """Rows are given more than once where there are too few."""
    filters: FilterConfig = FilterConfig(format="any", min_language=0.0)
    """What they must be like; duplicates and contaminated ones leave as of the others."""

    @model_validator(mode="after")
    def _counts_or_share(self) -> GeneralConfig:
        if self.counts and self.share:
            raise PonderError("general.share", self.share, "give counts or a share, not both")
        return self


class RejectConfig(SampledConfig):
    """Rejection sampling: correct, readable samples of an RL checkpoint, and general rows."""

    kind: Literal["reject"] = "reject"
    """What this stage does."""
    name: str = "reject"
    """Name of the stage."""
    general: GeneralConfig = GeneralConfig()
