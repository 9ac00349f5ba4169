"""Shapes of well-known models, from configs written out here."""

from __future__ import annotations

from functools import cache
from typing import Any

from transformers import AutoConfig

from ponder.config.rl import RLConfig
from ponder.plan.demand import Demand, demand_of
from ponder.plan.read import shape_of
from ponder.plan.shape import ModelShape

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "Qwen2.5-1.5B": ("qwen2", {
        "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
        "num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": 151936,
        "tie_word_embeddings": True, "max_position_embeddings": 32768,
    }),
    "Qwen2.5-7B": ("qwen2", {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
        "tie_word_embeddings": False, "max_position_embeddings": 32768,
    }),
    "Qwen3-0.6B": ("qwen3", {
        "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 151936, "tie_word_embeddings": True, "max_position_embeddings": 40960,
    }),
    "Llama-3.2-1B": ("llama", {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
        "vocab_size": 128256, "tie_word_embeddings": True,
    }),
    "Mistral-7B-v0.1": ("mistral", {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000,
        "sliding_window": 4096, "tie_word_embeddings": False,
    }),
    "Qwen3-30B-A3B": ("qwen3_moe", {
        "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768,
        "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4,
        "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "vocab_size": 151936,
        "tie_word_embeddings": False,
    }),
    "DeepSeek-V3": ("deepseek_v3", {}),
}  # fmt: skip


@cache
def shape(name: str) -> ModelShape:
    kind, fields = CONFIGS[name]
    return shape_of(AutoConfig.for_model(kind, **fields), name)


def config(
    prompts: int = 64, group_size: int = 8, limit: int = 256, **sections: dict[str, Any]
) -> RLConfig:
    """A bfloat16 run; keyword arguments are sections, e.g. ``optimizer={"offload": True}``."""
    batch = {"prompts_per_step": prompts, "group_size": group_size, **sections.pop("batch", {})}
    table: dict[str, Any] = {"dtype": "bfloat16", "batch": batch, **sections}
    table["sampling"] = {"max_completion_tokens": limit}
    return RLConfig.model_validate(table)


def demand(prompt_tokens: int = 128, mean_tokens: float | None = None, **fields: Any) -> Demand:
    """The demand of ``config(**fields)``."""
    return demand_of(config(**fields), prompt_tokens, mean_tokens)
