"""Every knob of an evaluation on several problem sources: a column of the stage table."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.rl import EngineConfig, ProblemsConfig, TemplateConfig
from ponder.errors import PonderError


class BenchmarksConfig(Config):
    """One model on some benchmarks."""

    kind: Literal["eval"] = "eval"
    """What this stage does."""
    name: str = "eval"
    """Name of the evaluation."""
    label: str = ""
    """The column's title in the stage table ("Dev1"); "": the stage's name."""
    tables: list[str] = Field(default_factory=lambda: ["Stages"])
    """The tables that it is a column of; each table of the report shows columns side by side."""
    model: str = "base-tiny"
    """A bundled base, "smollm2", a folder, or a hub id; an input "model" goes before."""
    seed: int = Field(default=0, ge=0)
    """What is sampled follows from it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of parameters and compute."""
    threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: the number of physical cores."""
    unsafe: bool = False
    """Run programs that the model writes even where this machine cannot isolate them."""
    benchmarks: dict[str, ProblemsConfig] = Field(default_factory=dict)
    """Problem sources by the name of their row, each as [problems] of an RL recipe."""
    held_out: bool = True
    """Of files and hub data without a held-out split only the tenth that no run trains on."""
    num_problems: int = Field(default=256, ge=1)
    """Most problems of a benchmark."""
    k: int = Field(default=4, ge=1)
    """Samples per problem."""
    temperature: float = Field(default=0.6, ge=0)
    """The paper's; 0 is greedy."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """The paper's; 1 is off."""
    max_completion_tokens: int = Field(default=1024, ge=1)
    """Limit of a completion; lowered to what the model's context leaves to the prompts."""
    max_batch_size: int = Field(default=512, ge=1)
    """Completions sampled together, and at most so many lost by a kill."""
    template: TemplateConfig = TemplateConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _has_benchmarks(self) -> BenchmarksConfig:
        for name in self.benchmarks:
            if not name or "/" in name or name.startswith("."):
                raise PonderError(
                    "benchmarks", name, "a benchmark's name is a folder's; no / in it"
                )
        return self
