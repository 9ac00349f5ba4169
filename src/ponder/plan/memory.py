"""Where a step's memory goes: bytes by part, for the rollout phase and the update phase.

The engine's cache lives only while it samples, gradients and activations only while the policy is
updated: so the peak of a step is the larger of the two phases, not their sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from ponder.plan import constants
from ponder.plan.constants import GIB
from ponder.plan.demand import Demand
from ponder.plan.shape import ModelShape

PAGE_TOKENS = 32
"""Tokens in one page of the engine's cache (``generate.pages``)."""
AHEAD_PAGES = 128
"""Its pages for prompts of those who wait (``generate.device.scheduler``)."""
FLOAT32 = 4

Parts = dict[str, float]
"""Bytes by the name of what they are for."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the planner chooses: tokens in a microbatch and in a chunk of logits, whether layers
    are recomputed, and GiB of keys and values."""

    microbatch_tokens: int
    chunk_tokens: int
    recompute: Literal["none", "layers"]
    kv_gib: float


def weights(shape: ModelShape, demand: Demand) -> Parts:
    """What stays in memory from the first step to the last."""
    parts = {"weights": _weight_bytes(shape, demand)}
    trained = trained_numbers(shape, demand)
    if demand.lora_rank:
        parts["adapters"] = trained * demand.width
    if not demand.offload:
        parts["optimizer"] = optimizer_bytes(shape, demand)
    if demand.keeps_reference and not demand.lora_rank:
        parts["reference"] = shape.num_parameters * demand.width
    parts |= dict(demand.beside)
    parts["runtime"] = constants.RUNTIME_BYTES
    return parts


def trained_numbers(shape: ModelShape, demand: Demand) -> int:
    """Parameters that the optimizer changes."""
    if demand.lora_rank:
        return shape.adapter_numbers(demand.lora_rank, demand.lora_targets)
    return shape.num_parameters


def optimizer_bytes(shape: ModelShape, demand: Demand) -> float:
    """AdamW's two moments, and float32 masters where there are any (``train.optimizer``)."""
    per_number = 3 * FLOAT32 if demand.has_masters else 2 * demand.width
    return trained_numbers(shape, demand) * per_number


def _weight_bytes(shape: ModelShape, demand: Demand) -> float:
    if not demand.is_quantized:
        return shape.num_parameters * demand.width
    quantized = sum(matrix.numbers for matrix in shape.matrices if matrix.copies == 1)
    whole = (shape.num_parameters - quantized) * demand.width
    return whole + quantized * constants.NF4_BYTES


def loading(shape: ModelShape, demand: Demand) -> Parts:
    """What exists when the model has been read: weights are whole before they are quantized."""
    parts = {"weights": shape.num_parameters * demand.width, "runtime": constants.RUNTIME_BYTES}
    return parts | dict(demand.beside)


# ---- the rollout phase --------------------------------------------------------------------------


def rollout(shape: ModelShape, demand: Demand, kv_gib: float) -> Parts:
    """All that exists while the engine samples."""
    return weights(shape, demand) | {
        "engine": engine_bytes(shape, demand),
        "keys and values": kv_gib * GIB,
    }


def engine_bytes(shape: ModelShape, demand: Demand) -> float:
    """The engine's working memory: logits of all slots, activations of prompts."""
    logits = constants.SAMPLING_BUFFERS * demand.slots * shape.vocabulary * FLOAT32
    tokens = min(constants.PREFILL_TOKENS, max(demand.prompts * demand.prompt_tokens, demand.slots))
    widest = 4 * shape.hidden + shape.wide_numbers + shape.product_numbers
    attention = shape.attention
    widest += attention.query_numbers + attention.trained_numbers + attention.output_numbers
    return logits + tokens * widest * demand.width


def token_bytes(shape: ModelShape, demand: Demand) -> int:
    """Keys and values of one token in all layers."""
    return shape.cache_numbers() * demand.width


def wanted_kv_bytes(shape: ModelShape, demand: Demand) -> float:
    """Keys and values when every slot is at the limit; a group's prompt is there once, and prompts
    of some who wait are, too."""
    groups = ceil(demand.slots / demand.group_size)
    pages = groups * _pages(demand.prompt_tokens) + demand.slots * (_pages(demand.limit) + 1)
    pages += AHEAD_PAGES if demand.num_rollouts > demand.slots else 0
    return pages * PAGE_TOKENS * token_bytes(shape, demand)


def least_kv_bytes(shape: ModelShape, demand: Demand) -> float:
    """Keys and values of one sequence at the limit: with less, nothing can be sampled."""
    pages = _pages(demand.prompt_tokens) + _pages(demand.limit) + 1
    return pages * PAGE_TOKENS * token_bytes(shape, demand)


def _pages(num_tokens: int) -> int:
    return ceil(num_tokens / PAGE_TOKENS)


# ---- the update phase ---------------------------------------------------------------------------


def update(shape: ModelShape, demand: Demand, sizes: Sizes) -> Parts:
    """All that exists at the worst moment of a forward and backward pass."""
    tokens = microbatch_peak(demand, sizes.microbatch_tokens)
    head = head_bytes(shape, demand, tokens, sizes.chunk_tokens)
    layer = tokens * layer_peak_bytes(shape, demand, sizes.recompute)
    parts = weights(shape, demand)
    parts["gradients"] = gradient_bytes(shape, demand)
    parts["activations"] = tokens * saved_bytes(shape, demand, sizes.recompute)
    # The head's backward pass comes first; what it needs is free again when a layer needs its own.
    parts["one layer" if layer > head else "logits"] = max(layer, head)
    return parts


def microbatch_peak(demand: Demand, microbatch_tokens: int) -> int:
    """Tokens of the largest microbatch: a completion is never cut, and a small batch is smaller."""
    return min(max(microbatch_tokens, demand.longest), demand.most_update_tokens)


def gradient_bytes(shape: ModelShape, demand: Demand) -> float:
    """Gradient sums: float32 where the update is of float32 numbers, else as wide as weights."""
    width = FLOAT32 if demand.has_masters else demand.width
    return trained_numbers(shape, demand) * width


def saved_bytes(shape: ModelShape, demand: Demand, recompute: str) -> float:
    """Activations that a token leaves for the backward pass, all layers and the head's input."""
    layer = kept_bytes(shape, demand) if recompute == "layers" else layer_bytes(shape, demand)
    return layer * shape.num_layers + 4 * shape.hidden * demand.width


def kept_bytes(shape: ModelShape, demand: Demand) -> float:
    """Of a token and a recomputed layer: its input, and attention's output and normaliser."""
    attention = shape.attention
    return (shape.hidden + attention.output_numbers) * demand.width + FLOAT32 * attention.heads


def layer_bytes(shape: ModelShape, demand: Demand) -> float:
    """Of a token and a layer whose activations are all kept.

    Compiled: the inputs of the matrices and attention, and the MLP before its activation. Eager
    adds what transformers' norms keep (a float32 copy) and the activation's output.
    """
    attention, width = shape.attention, demand.width
    scores = attention.query_numbers + attention.trained_numbers + attention.output_numbers
    normed = (attention.heads + attention.kv_heads) * attention.key_dim * attention.has_qk_norm
    total = scores * width + FLOAT32 * attention.heads
    if demand.is_compiled:
        mlp = shape.wide_numbers + shape.product_numbers
        return total + (4 * shape.hidden + normed + mlp) * width
    mlp = shape.wide_numbers + 2 * shape.product_numbers
    norms = 2 * shape.hidden * (FLOAT32 + 2 * width) + normed * (FLOAT32 + width)
    return total + norms + mlp * width


def layer_peak_bytes(shape: ModelShape, demand: Demand, recompute: str) -> float:
    """Of a token while one layer goes backward: its gradients, and itself where recomputed."""
    gradients = (2 * shape.hidden + shape.wide_numbers + shape.product_numbers) * demand.width
    return gradients + (layer_bytes(shape, demand) if recompute == "layers" else 0.0)


def head_bytes(shape: ModelShape, demand: Demand, tokens: int, chunk_tokens: int) -> float:
    """The head's backward pass (``algo.logprobs``): a chunk's logits and their gradient, the sums
    for hidden states in float32, and the head's own gradient unless it is frozen."""
    chunk = min(tokens, chunk_tokens)
    logits = chunk * shape.vocabulary * (FLOAT32 + demand.width)
    hidden = tokens * shape.hidden * (FLOAT32 + demand.width)
    weight = 0 if demand.lora_rank else shape.head_numbers * demand.width
    return logits + hidden + weight


def host_bytes(shape: ModelShape, demand: Demand) -> float:
    """Memory of the host that offloading takes: masters, moments, and gradients on their way."""
    if not demand.offload:
        return 0.0
    return optimizer_bytes(shape, demand) + trained_numbers(shape, demand) * FLOAT32
