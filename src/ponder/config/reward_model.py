"""Every knob of training a reward model. The defaults are R1's (arXiv 2501.12948 v2, 3.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.rl import CheckpointConfig, OptimizerConfig


class RewardDataConfig(Config):
    """Preferences, one JSON object a line.

    Pairwise: {"prompt", "chosen", "rejected"}; pointwise: {"prompt", "completion", "is_good"}.
    """

    path: Path | None = None
    """A .jsonl or .jsonl.zst file."""
    heldout_path: Path | None = None
    """Another such file, never trained on, for accuracy and for the scale of the scores."""
    heldout_share: float = Field(default=0.05, gt=0, lt=1)
    """Without heldout_path: about this share of the prompts of ``path`` is never trained on."""
    max_tokens: int = Field(default=8192, ge=2)
    """Longer rows are left out of training, and counted; a trained model scores any length."""


class RewardOptimizerConfig(OptimizerConfig):
    """AdamW; of its schedule the paper says nothing."""

    learning_rate: float = Field(default=6e-6, gt=0)
    """Peak learning rate (the paper's 6e-6)."""


class RewardModelConfig(Config):
    """One reward model: pairwise helpfulness or pointwise safety."""

    kind: Literal["reward_model"] = "reward_model"
    """What this recipe does."""
    name: str = "reward-model"
    """Name of the run; its folder is runs/NAME-TIME unless ``out`` says otherwise."""
    out: Path | None = None
    """Run folder."""
    model: str = "base-tiny"
    """"base-tiny", "base-bilingual" (bundled), "smollm2", a folder, or a hub id."""
    objective: Literal["pairwise", "pointwise"] = "pairwise"
    """pairwise: helpfulness from pairs; pointwise: safety from labels."""
    scored: Literal["auto", "answer", "whole"] = "auto"
    """What is looked at; auto, as in the paper: pairwise the final answer, pointwise the whole."""
    seed: int = Field(default=0, ge=0)
    """Everything random follows from it."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the rows, each in an order of its own (the paper: 1)."""
    batch_size: int = Field(default=256, ge=1)
    """Pairs, or labelled completions, per update (the paper: 256)."""
    microbatch_tokens: int = Field(default=16_384, ge=1)
    """Most tokens in one forward pass, without padding (memory, not the loss)."""
    recompute: bool = False
    """The backward pass computes a layer's activations again."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the decoder's parameters; the head is float32."""
    threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: the number of physical cores. Part of bit-exactness."""
    data: RewardDataConfig = RewardDataConfig()
    optimizer: RewardOptimizerConfig = RewardOptimizerConfig()
    checkpoint: CheckpointConfig = CheckpointConfig(every=50)

    @model_validator(mode="after")
    def _offloads_master_weights(self) -> RewardModelConfig:
        self.optimizer.check_offload(self.dtype)
        return self

    @property
    def scored_part(self) -> Literal["answer", "whole"]:
        """``scored``, with "auto" decided."""
        if self.scored != "auto":
            return self.scored
        return "answer" if self.objective == "pairwise" else "whole"
