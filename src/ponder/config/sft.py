"""Every knob of supervised fine-tuning. The defaults are R1's own (arXiv 2501.12948 v2, B.4.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.rl import (
    CheckpointConfig,
    EngineConfig,
    EvalConfig,
    LoraConfig,
    OptimizerConfig,
    ProblemsConfig,
    TemplateConfig,
)
from ponder.errors import PonderError


class SFTDataConfig(Config):
    """What is learnt: one JSON object a line, {"prompt" or "question": ..., "completion": ...}."""

    path: Path | None = None
    """A .jsonl or .jsonl.zst file. A "prompt" is taken as it is, a "question" gets the template."""
    max_tokens: int = Field(default=32_768, ge=2)
    """Most tokens of a sample, end token included (the model's context where that is less)."""
    too_long: Literal["drop", "truncate"] = "drop"
    """drop: longer samples are left out, and counted; truncate: they lose the end."""
    heldout_path: Path | None = None
    """Another such file, never trained on, for the held-out loss."""
    heldout_samples: int = Field(default=0, ge=0)
    """Or: about so many samples of ``path`` are never trained on (those of a prompt together)."""

    @model_validator(mode="after")
    def _one_heldout(self) -> SFTDataConfig:
        if self.heldout_path is not None and self.heldout_samples:
            fix = "the held-out samples are those of data.heldout_path: set this to 0"
            raise PonderError("data.heldout_samples", self.heldout_samples, fix)
        return self


class SFTBatchConfig(Config):
    """What an update looks at, and how it goes through the model."""

    samples: int = Field(default=128, ge=0)
    """Samples per update (the paper: 128, for distillation 64); 0: as batch.tokens says."""
    tokens: int = Field(default=0, ge=0)
    """Or: most tokens per update, prompts included, filled by best fit."""
    window: int = Field(default=4096, ge=0)
    """Samples, in the epoch's order, among which best fit fills batch.tokens; 0: an epoch."""
    microbatch_tokens: int = Field(default=0, ge=0)
    """Most tokens in one forward pass, without padding (memory, not the loss); 0: 16384."""
    logprob_chunk_tokens: int = Field(default=0, ge=0)
    """Tokens whose logits exist at once (memory, not the loss); 0: 2048 on a GPU, 1024 on a CPU."""
    recompute: Literal["auto", "none", "layers"] = "auto"
    """layers (auto on a GPU): the backward pass computes a layer's activations again."""
    compile: bool = True
    """torch.compile of the decoder layers (CUDA only)."""
    share_prompts: bool = True
    """Samples of one prompt in a forward pass compute it once."""

    @model_validator(mode="after")
    def _one_size(self) -> SFTBatchConfig:
        if self.tokens and self.samples:
            fix = "the size of an update is in samples or in tokens: set batch.samples=0"
            raise PonderError("batch.tokens", self.tokens, fix)
        if not self.tokens and not self.samples:
            fix = "an update needs a size: set batch.samples or batch.tokens"
            raise PonderError("batch.samples", self.samples, fix)
        return self


class SFTOptimizerConfig(OptimizerConfig):
    """AdamW with the schedule that the paper prints; warm-up is silent there."""

    learning_rate: float = Field(default=5e-5, gt=0)
    """Peak learning rate."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """After the warm-up: constant, or cosine to min_learning_rate over the run."""
    min_learning_rate: float = Field(default=5e-6, ge=0)
    """Final learning rate of the cosine schedule (the paper: a tenth of the peak)."""

    @model_validator(mode="after")
    def _falls(self) -> SFTOptimizerConfig:
        if self.schedule == "cosine" and self.min_learning_rate > self.learning_rate:
            fix = f"must be no more than optimizer.learning_rate ({self.learning_rate:g})"
            raise PonderError("optimizer.min_learning_rate", self.min_learning_rate, fix)
        return self


class SFTEvalConfig(EvalConfig):
    """Measured before, during and after: the held-out loss, and pass@1 on problems if asked for."""

    num_problems: int = Field(default=0, ge=0)
    """Held-out problems of [problems] for pass@1. 0: none."""
    max_completion_tokens: int = Field(default=256, ge=1)
    """Limit of a completion in tokens, its end token included."""
    max_batch_size: int = Field(default=512, ge=1)
    """Most sequences that the local generator decodes at once."""


class SFTConfig(Config):
    """One run of supervised fine-tuning: a cold start, the second SFT, or a distillation."""

    kind: Literal["sft"] = "sft"
    """What this recipe does."""
    name: str = "sft"
    """Name of the run; its folder is runs/NAME-TIME unless ``out`` says otherwise."""
    out: Path | None = None
    """Run folder."""
    model: str = "base-tiny"
    """"base-tiny", "base-bilingual" (bundled), "smollm2", a folder, or a hub id."""
    seed: int = Field(default=0, ge=0)
    """Everything random follows from it."""
    epochs: int = Field(default=2, ge=1)
    """Passes over the samples, each in an order of its own (the paper: 2 to 3)."""
    max_steps: int | None = Field(default=None, ge=1)
    """End after so many updates; the learning rate's schedule ends there, too."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of parameters and compute; see optimizer.master_weights for bfloat16."""
    threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: the number of physical cores. Part of bit-exactness."""
    unsafe: bool = False
    """Run programs that the model writes even where this machine cannot isolate them."""
    data: SFTDataConfig = SFTDataConfig()
    template: TemplateConfig = TemplateConfig()
    batch: SFTBatchConfig = SFTBatchConfig()
    optimizer: SFTOptimizerConfig = SFTOptimizerConfig()
    lora: LoraConfig = LoraConfig()
    problems: ProblemsConfig = ProblemsConfig()
    engine: EngineConfig = EngineConfig()
    eval: SFTEvalConfig = SFTEvalConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    @model_validator(mode="after")
    def _offloads_master_weights(self) -> SFTConfig:
        self.optimizer.check_offload(self.dtype)
        return self
