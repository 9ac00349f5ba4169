"""What a stage does with a model, as far as its time depends on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ponder.config.rl import (
    LoraConfig,
    OptimizerConfig,
    ProblemsConfig,
    SamplingConfig,
    TemplateConfig,
)


@dataclass(frozen=True, slots=True)
class Workload:
    """Its batch, its problems, its lengths."""

    dtype: str
    threads: int = 0
    problems: ProblemsConfig = field(default_factory=ProblemsConfig)
    template: TemplateConfig = field(default_factory=TemplateConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    prompts: int = 16
    group_size: int = 4
    microbatch_tokens: int = 4096
    chunk_tokens: int = 1024
    recompute: bool = False
    lora: LoraConfig = field(default_factory=LoraConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
