"""What the updates of a step looked like, as sums over microbatches and then as metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ponder.algo import ImportanceStats, LossStats


@dataclass(slots=True)
class MicrobatchStats:
    """Sums over the tokens of a microbatch in the loss; they add up to those of the minibatch.

    0-dim tensors on the model's device (float64: sums do not depend on the split), so that a
    microbatch ends without waiting for the device; ``metrics`` is where a process waits.
    """

    policy_loss: Tensor
    kl_loss: Tensor
    kl_sum: Tensor
    entropy_sum: Tensor
    mismatch_sum: Tensor
    mismatch_max: Tensor
    loss: LossStats
    importance: ImportanceStats

    def __add__(self, other: MicrobatchStats) -> MicrobatchStats:
        return MicrobatchStats(
            self.policy_loss + other.policy_loss,
            self.kl_loss + other.kl_loss,
            self.kl_sum + other.kl_sum,
            self.entropy_sum + other.entropy_sum,
            self.mismatch_sum + other.mismatch_sum,
            torch.maximum(self.mismatch_max, other.mismatch_max),
            self.loss + other.loss,
            self.importance + other.importance,
        )

    def metrics(self, kl_coef: float) -> dict[str, float]:
        """The ``loss/`` and ``policy/`` metrics of an update but for those of the optimizer."""
        num_tokens = max(float(self.loss.num_tokens), 1.0)
        policy_loss, kl_loss = float(self.policy_loss), float(self.kl_loss)
        with_kl = {"loss/kl": float(self.kl_sum) / num_tokens} if kl_coef else {}
        return {
            "loss/total": policy_loss + kl_coef * kl_loss,
            "loss/policy": policy_loss,
            **with_kl,
            **self.loss.metrics(),
            **self.importance.metrics(),
            "policy/entropy": float(self.entropy_sum) / num_tokens,
            "policy/mismatch_mean": float(self.mismatch_sum) / num_tokens,
            "policy/mismatch_max": float(self.mismatch_max),
        }


def of_step(updates: Sequence[dict[str, float]]) -> dict[str, float]:
    """One row for a step of several updates: means, the largest of maxima, the last learning rate.

    An update that had nothing in its loss has fewer keys and is not part of those keys' mean.
    """
    row: dict[str, float] = {}
    for key in dict.fromkeys(key for update in updates for key in update):
        values = [update[key] for update in updates if key in update]
        if key.endswith("_max"):
            row[key] = max(values)
        elif key == "policy/learning_rate":
            row[key] = values[-1]
        else:
            row[key] = math.fsum(values) / len(values)
    return row


def token_sum(values: Tensor, loss_mask: Tensor) -> Tensor:
    """Sum over the tokens in the loss of a detached [B, T]."""
    return values.detach().masked_fill(~loss_mask, 0.0).sum().double()
