"""Model shapes for the benchmarks, random weights in them, and what they cost at the least.

Only speed is compared, so weights are random: made in place, the same in every process of one
device (one seed). ``base-tiny`` and ``smollm2`` are the real models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from ponder.models.linear import OneDNNLinear, use_onednn_linears
from ponder.models.load import load_model
from ponder.models.tiny import byte_level_tokenizer

REAL = ("base-tiny", "smollm2")
"""Names of ``load_model`` that stand for real weights."""

COLUMNS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
)
QWEN = {"rope_theta": 1e6, "tie_word_embeddings": True}
SHAPES: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "tiny": (Qwen2Config, (512, 32, 64, 2, 4, 2, 8192), {}),
    "135m": (
        LlamaConfig,
        (49152, 576, 1536, 30, 9, 3, 8192),
        {"rope_theta": 1e5, "tie_word_embeddings": True},
    ),
    "0.6b": (Qwen3Config, (151936, 1024, 3072, 28, 16, 8, 40960), QWEN | {"head_dim": 128}),
    "1.5b": (Qwen2Config, (151936, 1536, 8960, 28, 12, 2, 65536), QWEN),
    "7b": (
        Qwen2Config,
        (151936, 3584, 18944, 28, 28, 4, 32768),
        QWEN | {"tie_word_embeddings": False},
    ),
}
"""Name -> class, sizes in the order of ``COLUMNS``, and what else it says.

Qwen2 (tiny, 1.5b, 7b: Qwen2.5's), SmolLM2's Llama (135m), Qwen3 (0.6b)."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a dense decoder holds, in numbers (not bytes).

    ``linear`` are the weights that every token is multiplied with in the layers, ``head`` those of
    the vocabulary's product; ``width`` is heads x head size, ``kv`` the numbers that one token
    leaves in the cache of all layers together.
    """

    parameters: int
    linear: int
    head: int
    layers: int
    width: int
    kv: int

    def attention_flops(self, context: float) -> float:
        """Forward FLOPs of one query over ``context`` keys, all layers."""
        return 4.0 * self.layers * self.width * context


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the machine reached in the two plainest programs (see ``machine.measure_ceilings``)."""

    flops_per_second: float
    bytes_per_second: float

    def seconds(self, flops: float, num_bytes: float) -> float:
        """The least time: both at their ceiling, one behind the other."""
        return max(flops / self.flops_per_second, num_bytes / self.bytes_per_second)


def config_of(shape: str) -> Any:
    """The transformers config of a named shape, of a real model or of a folder."""
    if shape in SHAPES:
        make, sizes, more = SHAPES[shape]
        config = make(**dict(zip(COLUMNS, sizes, strict=True)), **more)
        config.bos_token_id, config.eos_token_id, config.pad_token_id = 0, 2, 2
        return config
    if shape in REAL:
        return load_model(shape, "cpu")[0].config
    return AutoConfig.from_pretrained(shape)


def open_shape(
    shape: str, device: str, dtype: str, as_installed: bool = False
) -> tuple[PreTrainedModel, Any]:
    """(model in eval mode, tokenizer); a folder that has only a config gets random weights.

    ``as_installed`` leaves a CPU's linear layers to PyTorch, as a peer would find them.
    """
    if shape in REAL or list(Path(shape).glob("*.safetensors")):
        model, tokenizer = load_model(shape, device, dtype)
    else:
        torch.manual_seed(0)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config_of(shape), dtype=getattr(torch, dtype))
        tokenizer = byte_level_tokenizer()
    if as_installed:
        for module in model.modules():
            if isinstance(module, OneDNNLinear):
                module.__class__ = nn.Linear
    elif device == "cpu":
        use_onednn_linears(model)
    return model.eval(), tokenizer


def size_of(config: Any) -> Size:
    """Counted on the model itself, without its memory (every weight is taken for a dense one)."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linears = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    head_size = (
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return Size(
        parameters=sum(p.numel() for p in model.parameters()),
        linear=sum(m.weight.numel() for m in linears),
        head=head.weight.numel(),
        layers=config.num_hidden_layers,
        width=config.num_attention_heads * head_size,
        kv=2 * config.num_hidden_layers * kv_heads * head_size,
    )


def rollout_floor(
    size: Size,
    prompt_tokens: int,
    limits: Sequence[Sequence[int]],
    slots: int,
    value_bytes: int,
    ceilings: Ceilings,
) -> float:
    """Least seconds for ``limits[group][sample]`` tokens after prompts of ``prompt_tokens``.

    Prefill: each prompt once. Decoding: all weights once a step, every key and value that is kept
    once a step (a group's prompt once for the whole group), the products of every token. No
    sampling, no host, no launch.
    """
    flat = [limit for group in limits for limit in group]
    num_prompt = prompt_tokens * len(limits)
    prefill = ceilings.seconds(
        num_prompt * (2.0 * size.linear + size.attention_flops(prompt_tokens / 2)),
        size.linear * value_bytes,
    )
    steps = max(max(flat), math.ceil(sum(flat) / slots))
    own = sum(limit * (limit - 1) / 2 for limit in flat)
    attended = own + sum(flat) * prompt_tokens
    kept = own + sum(max(group) * prompt_tokens for group in limits)
    decode = ceilings.seconds(
        sum(flat) * 2.0 * (size.linear + size.head) + size.attention_flops(attended),
        value_bytes * (steps * (size.linear + size.head) + size.kv * kept),
    )
    return prefill + decode


def update_flops(size: Size, prompt_tokens: int, limits: Sequence[Sequence[int]]) -> float:
    """FLOPs of forward and backward (3 x forward), each prompt once, nothing recomputed."""
    flat = [limit for group in limits for limit in group]
    num_prompt, num_new = prompt_tokens * len(limits), sum(flat)
    attended = num_prompt * prompt_tokens / 2
    attended += sum(limit * (prompt_tokens + limit / 2) for limit in flat)
    forward = 2.0 * size.linear * (num_prompt + num_new) + 2.0 * size.head * num_new
    return 3.0 * (forward + size.attention_flops(attended))


def update_floor(
    size: Size, prompt_tokens: int, limits: Sequence[Sequence[int]], ceilings: Ceilings
) -> float:
    """Least seconds of one update: its FLOPs, then an optimizer that reads and writes weights and
    two moments of 2 bytes each and reads gradients (14 bytes a parameter)."""
    products = ceilings.seconds(update_flops(size, prompt_tokens, limits), 0.0)
    return products + ceilings.seconds(0.0, 14.0 * size.parameters)
