"""How long a step takes: seconds by part, and the floor that the hardware sets.

Every part is bytes over bandwidth or FLOPs over FLOP/s, whichever takes longer, at the shares of
speed in ``constants``. With all shares at 1 and nothing else counted the same sums are the floor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ponder.plan import constants, memory
from ponder.plan.constants import GIB
from ponder.plan.demand import Demand
from ponder.plan.devices import Device
from ponder.plan.memory import FLOAT32, Sizes
from ponder.plan.shape import ModelShape

Times = dict[str, float]
"""Seconds by part."""


@dataclass(frozen=True, slots=True)
class Speed:
    """A device at certain shares of its speed: ``Speed.floor`` has all of them at 1."""

    flops: float
    bandwidth: float
    link: float
    decode_matmuls: float = constants.DECODE_MATMULS
    decode_bytes: float = constants.DECODE_BYTES
    layer_seconds: float = constants.LAYER_SECONDS
    sampling_passes: float = constants.SAMPLING_PASSES
    prefill: float = constants.PREFILL
    train: float = constants.TRAIN_COMPILED
    attention: float = constants.ATTENTION
    launch_seconds: float = constants.LAUNCH_SECONDS
    chunk_seconds: float = constants.CHUNK_SECONDS
    passes: float = constants.BYTES
    traffic: float = 1.0
    """Whether logits and gradient sums cost passes over memory (at the floor they are free)."""

    @classmethod
    def of(cls, device: Device, demand: Demand) -> Speed | None:
        """What we expect to achieve; None where the device's speed is not known."""
        flops = device.flops if demand.width == 2 else device.float32_flops
        if flops is None or device.bandwidth is None:
            return None
        train = constants.TRAIN_COMPILED if demand.is_compiled else constants.TRAIN_EAGER
        return cls(flops, device.bandwidth, device.link, train=train)

    def floor(self) -> Speed:
        """The same device, doing nothing but the sums and reads that must be."""
        return replace(
            self,
            decode_matmuls=1,
            decode_bytes=1,
            layer_seconds=0,
            sampling_passes=0,
            prefill=1,
            train=1,
            attention=1,
            launch_seconds=0,
            chunk_seconds=0,
            passes=1,
            traffic=0,
        )


def step_times(shape: ModelShape, demand: Demand, sizes: Sizes, speed: Speed) -> Times:
    """Seconds of each part of a step. Verifying and logging are not in it."""
    times = {
        "prompts": prefill_seconds(shape, demand, speed),
        "decoding": decode_seconds(shape, demand, sizes.kv_gib, speed),
    }
    if demand.forward_passes:
        times["log-probabilities"] = demand.forward_passes * forward_seconds(shape, demand, speed)
    times["forward and backward"] = train_seconds(shape, demand, sizes, speed)
    times["optimizer"] = demand.minibatches * optimizer_seconds(shape, demand, speed)
    return times


def slots_at_once(shape: ModelShape, demand: Demand, kv_gib: float) -> int:
    """Sequences of the mean final length that the cache holds at a time, at most the slots."""
    shared = demand.prompt_tokens / demand.group_size
    tokens = kv_gib * GIB / memory.token_bytes(shape, demand)
    return max(1, min(demand.slots, int(tokens / (demand.mean_tokens + shared))))


def prefill_seconds(shape: ModelShape, demand: Demand, speed: Speed) -> float:
    """Each prompt once; of its tokens only the last needs the head."""
    tokens = demand.prompts * demand.prompt_tokens
    products = tokens * shape.layer_flops / speed.flops / speed.prefill
    scores = demand.prompts * causal_flops(shape, demand.prompt_tokens)
    return products + scores / speed.flops / speed.attention


def decode_seconds(shape: ModelShape, demand: Demand, kv_gib: float, speed: Speed) -> float:
    """Steps as long as the longest completion, or as all of them over the sequences at once."""
    tokens = demand.num_rollouts * demand.mean_tokens
    steps = max(float(demand.limit), tokens / slots_at_once(shape, demand, kv_gib))
    rows = tokens / steps
    flops = rows * (shape.layer_flops + shape.head_flops)
    read = _weights_read(shape, demand, rows)
    per_step = max(
        flops / speed.flops / speed.decode_matmuls, read / speed.bandwidth / speed.decode_bytes
    )
    logits = rows * shape.vocabulary * FLOAT32
    per_step += speed.sampling_passes * logits / speed.bandwidth / speed.decode_bytes
    per_step += shape.num_layers * speed.layer_seconds
    cache = demand.num_rollouts * _cache_bytes_read(shape, demand)
    return steps * per_step + cache / speed.bandwidth / speed.decode_bytes


def _weights_read(shape: ModelShape, demand: Demand, rows: float) -> float:
    """Bytes of weights in a decode step: of experts those that ``rows`` tokens may choose."""
    numbers = float(shape.head_numbers)
    for matrix in shape.matrices:
        numbers += matrix.numbers * min(1.0, rows * matrix.uses / matrix.copies)
    return numbers * demand.width


def _cache_bytes_read(shape: ModelShape, demand: Demand) -> float:
    """Bytes of keys and values that one completion reads, over all its tokens."""
    numbers = 0.0
    for window in shape.windows:
        mean_context = demand.prompt_tokens + demand.mean_tokens / 2
        numbers += min(mean_context, window or mean_context) * shape.attention.cache_numbers
    return numbers * demand.mean_tokens * demand.width


def causal_flops(shape: ModelShape, length: float, prefix: float = 0.0) -> float:
    """Of the scores and sums of ``length`` tokens, each seeing those before it and ``prefix``."""
    attention = shape.attention
    seen = 0.0
    for window in shape.windows:
        mean = prefix + length / 2
        seen += length * min(mean, window or mean)
    return 2 * seen * attention.heads * (attention.key_dim + attention.value_dim)


def _scores_of_step(shape: ModelShape, demand: Demand) -> float:
    prompts = demand.prompts * causal_flops(shape, demand.prompt_tokens)
    completion = causal_flops(shape, demand.mean_tokens, prefix=demand.prompt_tokens)
    return prompts + demand.num_rollouts * completion


def forward_seconds(shape: ModelShape, demand: Demand, speed: Speed) -> float:
    """One pass without gradient over a step's rollouts."""
    tokens = demand.minibatches * demand.update_tokens
    completions = demand.num_rollouts * demand.mean_tokens
    products = tokens * shape.layer_flops + completions * shape.head_flops
    scores = _scores_of_step(shape, demand)
    return (products / speed.train + scores / speed.attention) / speed.flops


def train_seconds(shape: ModelShape, demand: Demand, sizes: Sizes, speed: Speed) -> float:
    """Forward and backward of a step's rollouts, and what each microbatch and chunk costs."""
    tokens = demand.minibatches * demand.update_tokens
    completions = demand.num_rollouts * demand.mean_tokens
    # With frozen weights the backward pass has no products for their gradients.
    passes = 2 if demand.lora_rank else 3
    again = 1 if sizes.recompute == "layers" else 0
    head_again = 1  # logits are never kept: the backward pass builds them again
    products = tokens * shape.layer_flops * (passes + again)
    products += completions * shape.head_flops * (passes + head_again)
    scores = 3.5 * _scores_of_step(shape, demand)  # backward: five products for the forward's two
    seconds = (products / speed.train + scores / speed.attention) / speed.flops
    moved = _logits_moved(shape, demand, sizes) + _gradients_moved(shape, demand, sizes)
    seconds += speed.traffic * moved / speed.bandwidth / speed.passes
    launching = _num_microbatches(demand, sizes) * shape.num_layers * speed.launch_seconds
    launching += completions / sizes.chunk_tokens * speed.chunk_seconds
    return max(seconds, launching)


def _num_microbatches(demand: Demand, sizes: Sizes) -> float:
    """Of a step."""
    per_update = demand.update_tokens / max(sizes.microbatch_tokens, demand.longest)
    return demand.minibatches * max(1.0, per_update)


def _gradients_moved(shape: ModelShape, demand: Demand, sizes: Sizes) -> float:
    """Bytes: every microbatch adds its gradients to the sums, which are read and written."""
    numbers = memory.trained_numbers(shape, demand)
    return _num_microbatches(demand, sizes) * numbers * (2 * demand.width + 2 * FLOAT32)


def _logits_moved(shape: ModelShape, demand: Demand, sizes: Sizes) -> float:
    """Bytes: the logits themselves, and for every chunk the head, hidden states and their sums."""
    completions = demand.num_rollouts * demand.mean_tokens
    microbatches = _num_microbatches(demand, sizes)
    chunks = max(microbatches, completions / sizes.chunk_tokens)
    hidden = completions / microbatches * shape.hidden * (2 * FLOAT32 + demand.width)
    logits = completions * shape.vocabulary * constants.LOGIT_WIDTHS
    return logits + chunks * (shape.head_numbers * demand.width + hidden)


def optimizer_seconds(shape: ModelShape, demand: Demand, speed: Speed) -> float:
    """Of one update: the norm of the gradients, AdamW, and weights written back."""
    numbers = memory.trained_numbers(shape, demand)
    gradients = memory.gradient_bytes(shape, demand)
    moved = 2 * gradients + 2 * memory.optimizer_bytes(shape, demand) + numbers * demand.width
    if not demand.offload:
        return moved / speed.bandwidth / speed.passes
    across = gradients + numbers * demand.width
    return across / speed.link + moved / constants.HOST_BANDWIDTH
