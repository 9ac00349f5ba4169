"""What a run asks of its device: the numbers of a config that memory and time depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ponder.config.rl import RLConfig

Beside = tuple[tuple[str, float], ...]
"""Other models that are held all the time: what they are called, and bytes of their weights."""

PROMPT_TOKENS = 256
"""Length of a prompt where nobody says (problems and tokenizer are not read to make a plan)."""

Recompute = Literal["auto", "none", "layers"]


@dataclass(frozen=True, slots=True)
class Demand:
    """A step in numbers. 0 and "auto" are for the planner to choose.

    Args:
        width: bytes of a weight and of an activation (2: bfloat16, 4: float32).
        has_masters: float32 copies of the weights take the update (always when offloaded).
        mean_tokens: expected length of a completion; its limit where nobody knows better.
        beside: reward models, a teacher, a judge on the same device.
        forward_passes: without gradient, per update: old log-probabilities, the reference's.
    """

    width: int
    has_masters: bool
    offload: bool
    lora_rank: int
    lora_targets: str | tuple[str, ...]
    is_quantized: bool
    keeps_reference: bool
    is_compiled: bool
    prompts: int
    group_size: int
    minibatches: int
    slots: int
    prompt_tokens: int
    limit: int
    mean_tokens: float
    microbatch_tokens: int
    chunk_tokens: int
    recompute: Recompute
    kv_gib: float
    beside: Beside = ()

    @property
    def num_rollouts(self) -> int:
        return self.prompts * self.group_size

    @property
    def longest(self) -> int:
        """Tokens of the longest possible sequence."""
        return self.prompt_tokens + self.limit

    @property
    def update_tokens(self) -> float:
        """Tokens that an update is expected to see: each prompt once, and its completions."""
        groups = self.prompts / self.minibatches
        return groups * (self.prompt_tokens + self.group_size * self.mean_tokens)

    @property
    def most_update_tokens(self) -> int:
        """Tokens of an update whose completions all reach the limit."""
        return (
            self.prompts // self.minibatches * (self.prompt_tokens + self.group_size * self.limit)
        )

    @property
    def forward_passes(self) -> int:
        return (self.minibatches > 1) + self.keeps_reference


def demand_of(
    config: RLConfig,
    prompt_tokens: int = PROMPT_TOKENS,
    mean_tokens: float | None = None,
    on_gpu: bool = True,
    beside: Beside = (),
) -> Demand:
    """The numbers of ``config``; lengths that it does not know are arguments."""
    batch, optimizer, limit = config.batch, config.optimizer, config.sampling.max_completion_tokens
    is_half = config.dtype == "bfloat16"
    targets = config.lora.targets
    return Demand(
        width=2 if is_half else 4,
        has_masters=optimizer.offload or (is_half and optimizer.master_weights),
        offload=optimizer.offload,
        lora_rank=config.lora.rank,
        lora_targets=targets if isinstance(targets, str) else tuple(targets),
        is_quantized=config.lora.quantize != "none",
        keeps_reference=config.algorithm.kl_coef > 0,
        is_compiled=batch.compile and on_gpu,
        prompts=batch.prompts_per_step,
        group_size=batch.group_size,
        minibatches=batch.minibatches,
        slots=min(config.sampling.max_batch_size, batch.prompts_per_step * batch.group_size),
        prompt_tokens=prompt_tokens,
        limit=limit,
        mean_tokens=limit if mean_tokens is None else min(mean_tokens, limit),
        microbatch_tokens=batch.microbatch_tokens,
        chunk_tokens=batch.logprob_chunk_tokens,
        recompute=batch.recompute,
        kv_gib=config.engine.memory_gib,
        beside=beside,
    )
