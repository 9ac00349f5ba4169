"""Every knob of cold-start data: who is sampled, who rewrites, what a person looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ponder.config.asked import AskedConfig
from ponder.config.endpoint import EndpointConfig
from ponder.config.sampling_stage import SampledConfig
from ponder.errors import PonderError


class RewriteConfig(AskedConfig):
    """Kept traces are made readable by a model, and verified again (paper: DeepSeek-V3)."""

    parts: Literal["both", "summary"] = "both"
    """both: the thought (first person, one language), then the summary; summary: only that."""
    attempts: int = Field(default=1, ge=1)
    """Rewritings of a trace; the first that is correct and readable is kept."""
    examples: Path | None = None
    """A text file with examples (traces that people rewrote), put before every request."""
    failed: Literal["drop", "keep"] = "drop"
    """What happens to a trace of which no rewriting was right: drop it, or keep it as it was."""


class ColdStartConfig(SampledConfig):
    """Cold-start data: traces of a teacher, or ready-made ones, that a person has looked at."""

    kind: Literal["cold_start"] = "cold_start"
    """What this stage does."""
    name: str = "cold_start"
    """Name of the stage."""
    teacher: Literal["model", "endpoint"] = "model"
    """Who is sampled; with an endpoint, ``model`` only says how prompts of rows are written."""
    endpoint: EndpointConfig = EndpointConfig()
    ask: str = "{question}"
    """What an endpoint is asked; {question} stands for the question."""
    rewrite: RewriteConfig = RewriteConfig()
    review: bool = True
    """A person marks every row before anything goes on (or --yes)."""

    @model_validator(mode="after")
    def _asks_the_question(self) -> ColdStartConfig:
        if "{question}" not in self.ask:
            raise PonderError("ask", self.ask, "must have {question} in it")
        return self
