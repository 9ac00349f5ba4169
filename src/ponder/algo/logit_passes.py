"""The two passes over a buffer of logits that log-probabilities and their gradient need.

The clear version; on CUDA ``logit_kernels`` has the same functions as one pass over memory each.
"""

from __future__ import annotations

import torch
from torch import Tensor


def summarise(logits: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """What is kept of each row of softmax(logits / temperature). Overwrites ``logits``.

    Args:
        logits: [n, V] float32 or float64.
        targets: [n] columns.

    Returns:
        [n] each: the log-probability of the target, the entropy (both in nats), and the
        log-normaliser, which ``subtract_onehot`` takes.
    """
    if temperature != 1.0:
        logits.div_(temperature)
    at_target = logits.gather(1, targets[:, None]).squeeze(1)
    top = logits.amax(1, keepdim=True)
    shifted = logits.sub_(top)
    exponential = shifted.exp()
    total = exponential.sum(1)
    normaliser = total.log() + top.squeeze(1)
    # entropy = log Z - E[logit], both relative to the largest logit.
    entropy = total.log() - exponential.mul_(shifted).sum(1) / total
    return at_target - normaliser, entropy, normaliser


def subtract_onehot(
    logits: Tensor,
    targets: Tensor,
    normaliser: Tensor,
    first: int,
    temperature: float,
    dtype: torch.dtype,
) -> Tensor:
    """softmax - onehot, [n, v] of ``dtype``, for columns ``first`` and on. Overwrites ``logits``.

    Args:
        logits: [n, v] float32 or float64, some columns of the whole.
        targets: [n] columns of the whole.
        normaliser: [n], of the whole, by ``summarise``.
    """
    if temperature != 1.0:
        logits.div_(temperature)
    probabilities = logits.sub_(normaliser[:, None]).exp_()
    columns = targets - first
    rows = ((columns >= 0) & (columns < logits.shape[1])).nonzero().flatten()
    probabilities[rows, columns[rows]] -= 1.0
    return probabilities.to(dtype)
