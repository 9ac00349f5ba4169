"""Losses of reward models, per row: sum them and divide by what an update holds."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def pairwise_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """[B]: -log P(chosen beats rejected), P being Bradley and Terry's, from scores [B] each."""
    return -functional.logsigmoid(chosen - rejected)


def pointwise_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """[B]: binary cross-entropy of scores [B] (log-odds) against labels [B] in {0, 1}."""
    return functional.binary_cross_entropy_with_logits(scores, labels, reduction="none")
