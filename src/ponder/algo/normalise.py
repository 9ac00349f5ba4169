"""How per-token losses become one number, such that splitting a minibatch changes nothing.

The denominator is computed once from the whole minibatch and handed to every microbatch: the sum
of the microbatches' losses (hence of their gradients) is the loss of the unsplit minibatch. A
sequence without any token in the loss (a masked completion) counts in no denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

Normalise = Literal["token", "sequence", "constant"]


def loss_denominator(
    num_loss_tokens: Tensor, normalise: Normalise, max_completion_tokens: int
) -> float:
    """What the losses of a whole minibatch are divided by.

    Args:
        num_loss_tokens: [B], tokens in the loss of every sequence of the *minibatch*.
        normalise: "token": all its tokens (DAPO 2503.14476 eq. 8); "sequence": its sequences, each
            being a mean over its tokens first (DeepSeekMath 2402.03300 eq. 3); "constant": its
            sequences times ``max_completion_tokens`` (Dr. GRPO 2503.20783, whose released code
            divides by the generation budget).
        max_completion_tokens: the generation budget; used by "constant" only.

    Returns:
        At least 1, so that an empty minibatch has the loss 0.
    """
    num_tokens = int(num_loss_tokens.sum())
    num_sequences = int((num_loss_tokens > 0).sum())
    denominators = {
        "token": num_tokens,
        "sequence": num_sequences,
        "constant": num_sequences * max_completion_tokens,
    }
    return float(max(denominators[normalise], 1))


def aggregate(
    per_token: Tensor, loss_mask: Tensor, normalise: Normalise, denominator: float
) -> Tensor:
    """The share of a microbatch in the loss of its minibatch, a scalar.

    Args:
        per_token: [B, T]; sequences are whole, never cut between microbatches.
        loss_mask: [B, T] bool.
        normalise: as for ``loss_denominator``.
        denominator: ``loss_denominator`` of the whole minibatch.
    """
    return _REDUCERS[normalise](per_token.masked_fill(~loss_mask, 0.0), loss_mask) / denominator


def _sum_of_tokens(per_token: Tensor, loss_mask: Tensor) -> Tensor:
    return per_token.sum()


def _sum_of_means(per_token: Tensor, loss_mask: Tensor) -> Tensor:
    return torch.sum(per_token.sum(-1) / loss_mask.sum(-1).clamp(min=1))


_REDUCERS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "token": _sum_of_tokens,
    "sequence": _sum_of_means,
    "constant": _sum_of_tokens,
}
