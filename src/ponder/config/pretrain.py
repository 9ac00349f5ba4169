"""Every knob of pretraining a small base model from scratch (`ponder train base-tiny`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.errors import PonderError


class ProductsConfig(Config):
    """Which products the arithmetic corpus is about."""

    sizes: dict[str, float] = Field(default_factory=dict)
    """Share of each size ("5x4": five digits times four); without it those of the bundled base."""

    @model_validator(mode="after")
    def _sizes_are_sizes(self) -> ProductsConfig:
        for name, share in self.sizes.items():
            if not re.fullmatch("[1-9]x[1-9]", name):
                fix = 'use digits of the first factor, x, digits of the second: "3x3" = 0.5'
                raise PonderError(f"corpus.products.sizes.{name}", share, fix)
            if share < 0:
                raise PonderError(
                    f"corpus.products.sizes.{name}", share, "use a share of 0 or more"
                )
        if self.sizes and not sum(self.sizes.values()):
            raise PonderError("corpus.products.sizes", self.sizes, "give a size a share above 0")
        return self

    def by_digits(self) -> dict[tuple[int, int], float]:
        """(digits of the first factor, of the second) -> share."""
        return {(int(name[0]), int(name[2])): share for name, share in self.sizes.items()}


class CorpusConfig(Config):
    """The text that the generator in ``ponder.corpus`` writes."""

    problems: Literal["arithmetic", "bilingual"] = "arithmetic"
    """Mostly products (the bundled base), or the same in English and Chinese."""
    products: ProductsConfig = ProductsConfig()
    """Which products."""
    num_documents: int = Field(default=2_000_000, ge=1)
    """Documents written for one pass."""
    workers: int = Field(default=0, ge=0)
    """Processes that write and tokenize; 0: one per core."""
    styles: dict[str, float] = Field(default_factory=dict)
    """Share of each style of document; without it the generator's own shares."""
    languages: dict[str, float] = Field(default_factory=dict)
    """Shares of languages and of their mixing (bilingual only); without it the generator's own."""

    @model_validator(mode="after")
    def _sizes_are_of_one(self) -> CorpusConfig:
        if self.products.sizes and self.problems != "arithmetic":
            fix = (
                'the bilingual corpus has its own; use corpus.problems = "arithmetic" or remove it'
            )
            raise PonderError("corpus.products.sizes", self.products.sizes, fix)
        return self

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
