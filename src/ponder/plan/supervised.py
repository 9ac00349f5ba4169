"""What an update on ready-made texts takes (fine-tuning, reward models): no rollout phase."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ponder.config.rl import LoraConfig, OptimizerConfig
from ponder.plan import memory
from ponder.plan.demand import Demand
from ponder.plan.devices import Device
from ponder.plan.duration import Speed, optimizer_seconds, train_seconds
from ponder.plan.memory import Sizes
from ponder.plan.shape import ModelShape


@dataclass(frozen=True, slots=True)
class Texts:
    """What an update looks at: ``samples`` texts (or pairs of texts that share their prompt).

    ``prompt_tokens`` and ``mean_tokens`` are what to expect, ``limit`` is the longest text.
    """

    samples: int
    prompt_tokens: int
    mean_tokens: float
    limit: int
    per_prompt: int = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of an update (None: the device's speed is not known), peak bytes, and bytes of a
    checkpoint: the weights, and what the optimizer keeps."""

    seconds: float | None
    memory: float
    checkpoint: float


def update_cost(
    texts: Texts,
    shape: ModelShape,
    device: Device,
    sizes: Sizes,
    dtype: Literal["float32", "bfloat16"],
    optimizer: OptimizerConfig,
    lora: LoraConfig | None = None,
    is_compiled: bool = False,
    has_head: bool = True,
) -> Cost:
    """What one update takes. ``has_head``: it needs the logits of every token that is learnt."""
    if not has_head:
        shape = replace(shape, vocabulary=1)
    demand = _demand(texts, dtype, optimizer, lora or LoraConfig(), is_compiled)
    speed = Speed.of(device, demand)
    seconds = None
    if speed is not None:
        seconds = train_seconds(shape, demand, sizes, speed)
        seconds += optimizer_seconds(shape, demand, speed)
    weights = shape.num_parameters * demand.width
    return Cost(
        seconds=seconds,
        memory=sum(memory.update(shape, demand, sizes).values()),
        checkpoint=weights + memory.optimizer_bytes(shape, demand),
    )


def _demand(
    texts: Texts,
    dtype: Literal["float32", "bfloat16"],
    optimizer: OptimizerConfig,
    lora: LoraConfig,
    is_compiled: bool,
) -> Demand:
    is_half = dtype == "bfloat16"
    return Demand(
        width=2 if is_half else 4,
        has_masters=optimizer.offload or (is_half and optimizer.master_weights),
        offload=optimizer.offload,
        lora_rank=lora.rank,
        lora_targets=lora.targets if isinstance(lora.targets, str) else tuple(lora.targets),
        is_quantized=lora.quantize != "none",
        keeps_reference=False,
        is_compiled=is_compiled,
        prompts=texts.samples,
        group_size=texts.per_prompt,
        minibatches=1,
        slots=0,
        prompt_tokens=texts.prompt_tokens,
        limit=max(1, texts.limit - texts.prompt_tokens),
        mean_tokens=texts.mean_tokens,
        microbatch_tokens=0,
        chunk_tokens=0,
        recompute="auto",
        kv_gib=0.0,
    )
