"""Every knob of cold-start rows made from a data set's own worked solutions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.rl import ProblemsConfig, TemplateConfig
from ponder.errors import PonderError


class SolutionsConfig(Config):
    """Worked solutions as thoughts: where no teacher is at hand, people's own reasoning."""

    kind: Literal["solutions"] = "solutions"
    """What this stage does."""
    name: str = "solutions"
    """Name of the stage's output."""
    model: str = "base-tiny"
    """The model whose chat template the prompts have (template.name = "chat" only)."""
    seed: int = Field(default=0, ge=0)
    """The numbers of the variations follow from it."""
    problems: ProblemsConfig = ProblemsConfig(name="gsm8k")
    """A named source with worked solutions; only its training problems are read."""
    template: TemplateConfig = TemplateConfig()
    variations: int = Field(default=0, ge=0)
    """Also: the same problem with other numbers, calculated anew, up to so many times."""
    calculations: int = Field(default=0, ge=0)
    """Also so many rows of plain calculations, as solutions have them (for small models)."""

    @model_validator(mode="after")
    def _is_a_named_source(self) -> SolutionsConfig:
        if self.problems.name is None:
            fix = 'name a source with worked solutions: problems.name = "gsm8k" (path: its copy)'
            raise PonderError("problems.name", None, fix)
        if self.problems.new_numbers:
            fix = "is for RL; here variations does that"
            raise PonderError("problems.new_numbers", self.problems.new_numbers, fix)
        return self
