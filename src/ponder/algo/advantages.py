"""Group-relative advantages: what a reward is worth beside the others of its group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from ponder.errors import GuardError

Normaliser = Literal["std", "mean"]


def group_advantages(
    rewards: Tensor, group_index: Tensor, normaliser: Normaliser = "std", eps: float = 1e-6
) -> Tensor:
    """The advantage of every reward within its group; groups may be ragged and in any order.

    A group whose rewards are all equal (a group of one, too) gets exactly 0, whatever rounding
    does to its mean.

    Args:
        rewards: [B], total rewards.
        group_index: [B] integers; equal numbers are one group.
        normaliser: "std": (r - mean) / (std + eps), DeepSeekMath 2402.03300 section 4.1.2 and
            R1 (arXiv 2501.12948 v2) eq. 3; "mean": r - mean, Dr. GRPO 2503.20783.
        eps: added to the population standard deviation (the papers print none).

    Returns:
        [B] in the type of ``rewards``.

    Raises:
        GuardError: a reward is NaN or infinite.
    """
    if not bool(torch.isfinite(rewards).all()):
        where = torch.nonzero(~torch.isfinite(rewards)).flatten().tolist()
        raise GuardError(f"rewards must be finite; those at {where[:8]} are not: see the verifier")
    inverse = torch.unique(group_index, return_inverse=True)[1]
    num_groups = int(inverse.max()) + 1 if len(inverse) else 0
    values = rewards.double()
    sizes = values.new_zeros(num_groups).index_add_(0, inverse, torch.ones_like(values))
    centred = values - (_group_sum(values, inverse, num_groups) / sizes)[inverse]
    scaled = NORMALISERS[normaliser](centred, inverse, sizes, eps)
    return torch.where(_all_equal(values, inverse, num_groups), 0.0, scaled).to(rewards.dtype)


def _group_sum(values: Tensor, inverse: Tensor, num_groups: int) -> Tensor:
    return values.new_zeros(num_groups).index_add_(0, inverse, values)


def _all_equal(values: Tensor, inverse: Tensor, num_groups: int) -> Tensor:
    """[B] booleans: every reward of this one's group is the same number."""
    start = values.new_zeros(num_groups)
    low = start.scatter_reduce(0, inverse, values, "amin", include_self=False)
    high = start.scatter_reduce(0, inverse, values, "amax", include_self=False)
    return (low == high)[inverse]


def _over_std(centred: Tensor, inverse: Tensor, sizes: Tensor, eps: float) -> Tensor:
    variance = _group_sum(centred.square(), inverse, len(sizes)) / sizes
    return centred / (variance.sqrt() + eps)[inverse]


def _as_centred(centred: Tensor, inverse: Tensor, sizes: Tensor, eps: float) -> Tensor:
    return centred


NORMALISERS: Mapping[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "std": _over_std,
    "mean": _as_centred,
}
