"""Every knob of distillation: a teacher's samples as text, or its opinion of the student's own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.rl import (
    AlgorithmConfig,
    BatchConfig,
    CheckpointConfig,
    EvalConfig,
    LoraConfig,
    RewardConfig,
    RLConfig,
)
from ponder.config.sampling_stage import CuratedConfig
from ponder.config.sft import SFTOptimizerConfig
from ponder.errors import PonderError


class OffPolicyConfig(Config):
    """method = "off_policy": the fine-tuning on the teacher's samples."""

    epochs: int = Field(default=2, ge=1)
    """Passes over the rows (the paper: 2 to 3)."""
    samples: int = Field(default=64, ge=1)
    """Rows per update (the paper: 64)."""
    max_tokens: int = Field(default=32_768, ge=2)
    """Most tokens of a row (the student's context where that is less); longer ones are left out."""


class OnPolicyConfig(Config):
    """method = "on_policy": the student samples, the teacher scores every token of it."""

    steps: int = Field(default=100, ge=1)
    """Batches of the student's samples."""
    prompts_per_step: int = Field(default=64, ge=1)
    """Problems per step."""
    group_size: int = Field(default=4, ge=1)
    """Completions per problem."""
    minibatches: int = Field(default=1, ge=1)
    """Optimizer updates per step; after the first the samples are an older student's."""
    estimator: Literal["full", "sampled"] = "full"
    """Reverse KL over the whole vocabulary at each token, or the sampled token's log ratio."""
    importance_cap: float = Field(default=2.0, ge=0)
    """sampled: truncated importance weight min(student/sampler, cap); 0: off."""

    @model_validator(mode="after")
    def _divides(self) -> OnPolicyConfig:
        if self.prompts_per_step % self.minibatches:
            raise PonderError(
                "on_policy.prompts_per_step",
                self.prompts_per_step,
                f"must be a multiple of on_policy.minibatches ({self.minibatches})",
            )
        return self


class DistilBatchConfig(Config):
    """How an update goes through the models: memory and speed, not the loss."""

    microbatch_tokens: int = Field(default=0, ge=0)
    """Most tokens in one forward pass, without padding; 0: 16384."""
    logprob_chunk_tokens: int = Field(default=0, ge=0)
    """Tokens whose logits exist at once, of each model; 0: 2048 on a GPU, 1024 on a CPU."""
    recompute: Literal["auto", "none", "layers"] = "auto"
    """layers (auto on a GPU): the backward pass computes a layer's activations again."""
    compile: bool = True
    """torch.compile of the decoder layers (CUDA only)."""


class DistilOptimizerConfig(SFTOptimizerConfig):
    """AdamW, cosine to a tenth: the paper's 1e-4 is for 1.5B (7B 8e-5, 14B 7e-5, 32B 6e-5)."""

    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate."""
    min_learning_rate: float = Field(default=1e-5, ge=0)
    """Final learning rate of the cosine schedule (the paper: a tenth of the peak)."""


class DistilRoles(Config):
    """Who learns from whom, and how: a base of its own, for these knobs to come first."""

    kind: Literal["distil"] = "distil"
    """What this recipe does."""
    name: str = "distil"
    """Name of the run; its folder is runs/NAME-TIME unless ``out`` says otherwise."""
    out: Path | None = None
    """Run folder."""
    teacher: str | None = None
    """Who is learnt from: "base-tiny", "smollm2", a folder, or a hub id."""
    model: str = "base-tiny"
    """The student, named likewise."""
    method: Literal["off_policy", "on_policy"] = "off_policy"
    """Fine-tuning on the teacher's right answers (the paper's), or reverse KL on the student's."""


class DistilConfig(CuratedConfig, DistilRoles):
    """One distillation. The defaults are R1's own (arXiv 2501.12948 v2, B.4.3)."""

    off_policy: OffPolicyConfig = OffPolicyConfig()
    on_policy: OnPolicyConfig = OnPolicyConfig()
    batch: DistilBatchConfig = DistilBatchConfig()
    optimizer: DistilOptimizerConfig = DistilOptimizerConfig()
    lora: LoraConfig = LoraConfig()
    eval: EvalConfig = EvalConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    @model_validator(mode="after")
    def _offloads_master_weights(self) -> DistilConfig:
        self.optimizer.check_offload(self.dtype)
        return self


def rl_config(config: DistilConfig) -> RLConfig:
    """A distillation on-policy as the machinery of RL is told: no rewards enter the loss."""
    policy, sizes = config.on_policy, config.batch
    batch = BatchConfig(
        prompts_per_step=policy.prompts_per_step,
        minibatches=policy.minibatches,
        **sizes.model_dump(),
    )
    return RLConfig(
        name=config.name,
        model=config.model,
        seed=config.seed,
        steps=policy.steps,
        device=config.device,
        dtype=config.dtype,
        threads=config.threads,
        unsafe=config.unsafe,
        problems=config.problems,
        template=config.template,
        sampling=config.sampling,
        reward=RewardConfig(),
        algorithm=AlgorithmConfig(),
        batch=batch.model_copy(update={"group_size": policy.group_size}),  # one is enough here
        optimizer=config.optimizer,
        lora=config.lora,
        engine=config.engine,
        eval=config.eval,
        checkpoint=config.checkpoint,
    )
