"""Every knob of pretraining a small base model from scratch (`ponder train base-tiny`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.errors import PonderError


class CountdownConfig(Config):
    """Which countdown problems a corpus is about: the settings of reasoning-gym's task."""

    min_numbers: int = Field(default=3, ge=2)
    """Fewest numbers."""
    max_numbers: int = Field(default=4, ge=2)
    """Most numbers."""
    max_value: int = Field(default=50, ge=2)
    """Largest number; the smallest is 1."""
    min_target: int = Field(default=10, ge=1)
    """Smallest target."""
    max_target: int = Field(default=100, ge=1)
    """Largest target."""
    heldout_numbers: int = Field(default=4, ge=2)
    """Numbers of the held-out problems: no document asks one of these."""
    heldout_problems: int = Field(default=512, ge=0)
    """How many of the held-out problems no document asks, in any order of their numbers."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> CountdownConfig:
        for low, high in (("min_numbers", "max_numbers"), ("min_target", "max_target")):
            if getattr(self, low) > (most := getattr(self, high)):
                fix = f"must be at least {low} ({getattr(self, low)})"
                raise PonderError(f"corpus.countdown.{high}", most, fix)
        return self


class CorpusConfig(Config):
    """The text that the generator in ``ponder.corpus`` writes."""

    problems: Literal["arithmetic", "bilingual", "countdown"] = "arithmetic"
    """Mostly products (the bundled base), the same in English and Chinese, or countdown."""
    countdown: CountdownConfig = CountdownConfig()
    """Which countdown problems."""
    num_documents: int = Field(default=2_000_000, ge=1)
    """Documents written for one pass."""
    workers: int = Field(default=0, ge=0)
    """Processes that write and tokenize; 0: one per core."""
    styles: dict[str, float] = Field(default_factory=dict)
    """Share of each style of document; without it the generator's own shares."""
    languages: dict[str, float] = Field(default_factory=dict)
    """Shares of languages and of their mixing (bilingual only); without it the generator's own."""

    @model_validator(mode="after")
    def _languages_are_of_two(self) -> CorpusConfig:
        if self.languages and self.problems != "bilingual":
            fix = 'means nothing for one language; use corpus.problems = "bilingual" or remove it'
            raise PonderError("corpus.languages", self.languages, fix)
        return self


class ArchitectureConfig(Config):
    """A stock transformers Qwen2 architecture."""

    vocab_size: int = Field(default=1024, ge=300)
    """Tokens of the byte-level BPE tokenizer, special tokens included."""
    hidden_size: int = Field(default=192, ge=8)
    """Width."""
    intermediate_size: int = Field(default=512, ge=8)
    """Width of the gated MLP."""
    num_layers: int = Field(default=6, ge=1)
    """Decoder layers."""
    num_heads: int = Field(default=6, ge=1)
    """Attention heads."""
    num_kv_heads: int = Field(default=6, ge=1)
    """Key and value heads (grouped-query attention)."""
    max_position_embeddings: int = Field(default=1024, ge=16)
    """Longest context."""
    rope_theta: float = Field(default=10_000.0, gt=0)
    """RoPE base."""


class PretrainConfig(Config):
    """One pretraining run."""

    kind: Literal["pretrain"] = "pretrain"
    """What this recipe does."""
    name: str = "base-tiny"
    """Name of the run."""
    out: Path | None = None
    """Run folder."""
    seed: int = Field(default=0, ge=0)
    """Everything random follows from it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if there is one."""
    corpus: CorpusConfig = CorpusConfig()
    architecture: ArchitectureConfig = ArchitectureConfig()
    steps: int = Field(default=4000, ge=1)
    """Optimizer updates."""
    batch_tokens: int = Field(default=131_072, ge=1)
    """Tokens per update."""
    sequence_length: int = Field(default=512, ge=16)
    """Tokens per packed row."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate, cosine to a tenth."""
    warmup_steps: int = Field(default=200, ge=0)
    """Linear warm-up in updates."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decoupled weight decay on matrices."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW beta2."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradient clipping by global norm."""
    compile: bool = True
    """Use torch.compile on CUDA."""
    checkpoint_every: int = Field(default=500, ge=1)
    """Updates between checkpoints."""
