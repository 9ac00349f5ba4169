"""Every knob of rejection sampling: the rows of the second fine-tuning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ponder.config.asked import AskedConfig
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


class JudgeConfig(AskedConfig):
    """A model judges what rules cannot, given the reference answer (paper: DeepSeek-V3)."""

    verdicts: list[Literal["unparsable", "incorrect"]] = Field(default=["unparsable"])
    """It is asked where the rules' verdict is one of these; "incorrect": it may overrule them."""
    votes: int = Field(default=1, ge=1)
    """Its verdicts per answer (an odd number); more than half decide."""
    probe: bool = True
    """What it calls correct is shown again with a false reference; who passes that, too, is out."""


class RejectConfig(SampledConfig):
    """Rejection sampling: correct, readable samples of an RL checkpoint, and general rows."""

    kind: Literal["reject"] = "reject"
    """What this stage does."""
    name: str = "reject"
    """Name of the stage."""
    judge: JudgeConfig = JudgeConfig()
    general: GeneralConfig = GeneralConfig()

    @model_validator(mode="after")
    def _judged_rows_keep_their_tags(self) -> RejectConfig:
        if self.judge.by != "none" and self.collect.write_as != "as_sampled":
            fix = "rules verify the new tags, which they cannot where a judge is needed: as_sampled"
            raise PonderError("collect.write_as", self.collect.write_as, fix)
        return self
