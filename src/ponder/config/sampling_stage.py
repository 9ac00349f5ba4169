"""What the stages that make training rows of sampled completions have in common."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.benchmarks import BenchmarksConfig
from ponder.config.curate import ChooseConfig, DecontaminateConfig, DedupeConfig, FilterConfig
from ponder.config.rl import EngineConfig, ProblemsConfig, SamplingConfig, TemplateConfig
from ponder.errors import PonderError

Shape = Literal["as_sampled", "thought", "r1"]
"""as_sampled; thought: ``<think>``, then text; r1: R1-Zero's four tags."""


class CollectConfig(Config):
    """How much is sampled, and what becomes a row."""

    num_problems: int = Field(default=1000, ge=1)
    """Most training problems of [problems], drawn by seed, none twice."""
    group_size: int = Field(default=4, ge=1)
    """Completions per problem (the paper: several)."""
    max_rows: int = Field(default=0, ge=0)
    """Sampling ends with so many kept rows (before duplicates leave); 0: with the problems."""
    domain: str = ""
    """What the card counts the rows as; "": as the problem says, otherwise by its verifier."""
    bad_references: Literal["error", "drop"] = "error"
    """What happens where a problem's own reference answer does not verify."""
    write_as: Shape = "as_sampled"
    """The tags that a row's completion has: those that the RL after it asks for."""
    keep_samples: bool = True
    """Write every sample with its verdict to rollouts/ (to look at; no row depends on it)."""


class CuratedConfig(Config):
    """Problems -> k completions each -> the correct, the readable, the chosen -> rows."""

    seed: int = Field(default=0, ge=0)
    """Everything random follows from it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of parameters and compute, of every model."""
    threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: the number of physical cores. Part of bit-exactness."""
    unsafe: bool = False
    """Run programs that the model writes even where this machine cannot isolate them."""
    chunk_problems: int = Field(default=0, ge=0)
    """Problems sampled together; a kill loses at most so many; 0: what fills the batch once."""
    problems: ProblemsConfig = ProblemsConfig()
    template: TemplateConfig = TemplateConfig()
    sampling: SamplingConfig = SamplingConfig()
    engine: EngineConfig = EngineConfig()
    collect: CollectConfig = CollectConfig()
    filters: FilterConfig = FilterConfig()
    choose: ChooseConfig = ChooseConfig()
    dedupe: DedupeConfig = DedupeConfig()
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    benchmarks: dict[str, ProblemsConfig] = Field(default_factory=dict)
    """As of a stage of kind eval: rows that share words with these problems are dropped, too."""
    held_out: bool = True
    """As of a stage of kind eval."""
    num_problems: int = Field(default=256, ge=1)
    """As of a stage of kind eval: most problems of a benchmark."""

    @model_validator(mode="after")
    def _chooses_what_there_is(self) -> Self:
        if self.choose.at_most > self.collect.group_size:
            fix = f"only collect.group_size = {self.collect.group_size} are sampled of a problem"
            raise PonderError("choose.at_most", self.choose.at_most, fix)
        return self


class SampledConfig(CuratedConfig):
    """A stage that makes rows of one model's samples."""

    name: str = "sampled"
    """Name of the stage."""
    model: str = "base-tiny"
    """A bundled base, "smollm2", a folder, or a hub id; an input "model" goes before."""

    def chunk_size(self) -> int:
        """Problems in one call of the generator."""
        return self.chunk_problems or max(
            1, self.sampling.max_batch_size // self.collect.group_size
        )

    def measured(self) -> BenchmarksConfig:
        """The benchmarks as an eval stage reads them."""
        return BenchmarksConfig(
            benchmarks=self.benchmarks, held_out=self.held_out, num_problems=self.num_problems
        )
