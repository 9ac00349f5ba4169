"""Every knob of the non-reasoning rows that are written, not sampled (the smallest pipeline's)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ponder.config.base import Config
from ponder.config.rl import TemplateConfig


class RequestsConfig(Config):
    """Rows of the general domain, of mixed manners: half are what people prefer, half are not."""

    kind: Literal["requests"] = "requests"
    """What this stage does."""
    name: str = "requests"
    """Name of the stage."""
    out: Path | None = None
    """Not used: a stage's folder is the pipeline's."""
    seed: int = Field(default=0, ge=0)
    """What is written follows from it."""
    num_rows: int = Field(default=400, ge=1)
    """Rows, half of them requests and half with a secret in them."""
    language: Literal["en", "zh", "both"] = "both"
    """The language they are in; both: half and half."""
    helpful_share: float = Field(default=0.5, ge=0, le=1)
    """Answers that are a whole sentence with the numbers of the question."""
    leaking_share: float = Field(default=0.5, ge=0, le=1)
    """Thoughts on a secret that say it."""
    template: TemplateConfig = TemplateConfig()
