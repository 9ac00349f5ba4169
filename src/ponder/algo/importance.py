"""Truncated importance sampling: the sampler's numerics are not quite the trainer's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ImportanceStats:
    """Sums that add up over microbatches (0-dim tensors)."""

    num_tokens: Tensor
    weight_sum: Tensor
    num_capped: Tensor

    def __add__(self, other: ImportanceStats) -> ImportanceStats:
        return ImportanceStats(
            self.num_tokens + other.num_tokens,
            self.weight_sum + other.weight_sum,
            self.num_capped + other.num_capped,
        )

    def metrics(self) -> dict[str, float]:
        num_tokens = max(float(self.num_tokens), 1.0)
        return {
            "loss/importance_mean": float(self.weight_sum) / num_tokens,
            "loss/importance_capped_fraction": float(self.num_capped) / num_tokens,
        }


@torch.no_grad()
def importance_weights(
    old_logprobs: Tensor, sampler_logprobs: Tensor, loss_mask: Tensor, cap: float
) -> tuple[Tensor, ImportanceStats]:
    """min(exp(old_logprobs - sampler_logprobs), cap) per token: a weight on the per-token loss.

    It corrects for the sampler computing other probabilities than the trainer from the same
    weights; the policy ratio stays relative to ``old_logprobs`` (do not cancel the two).

    Args:
        old_logprobs, sampler_logprobs: [B, T], nats.
        loss_mask: [B, T] bool; the weight is 1 outside it.
        cap: largest weight; 0 is off (all weights 1).

    Source: Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL
    training" (TIS).
    """
    difference = (old_logprobs - sampler_logprobs).masked_fill(~loss_mask, 0.0)
    raw = difference.exp() if cap > 0 else torch.ones_like(difference)
    weights = raw.clamp(max=cap) if cap > 0 else raw
    inside = weights.masked_fill(~loss_mask, 0.0)
    stats = ImportanceStats(loss_mask.sum(), inside.sum(), ((raw > weights) & loss_mask).sum())
    return weights.masked_fill(~loss_mask, 1.0), stats
