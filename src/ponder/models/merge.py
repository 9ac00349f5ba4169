"""Attention over two sets of keys from the attention over each, by their log-sum-exps."""

from __future__ import annotations

import torch
from torch import Tensor


def merge(out: Tensor, lse: Tensor, other: Tensor, other_lse: Tensor) -> None:
    """Make ``out`` and ``lse`` those of both sets of keys together, in place.

    Args:
        out, other: [n, heads, D], contiguous.
        lse, other_lse: [heads, n], with any stride between heads.
    """
    total = torch.logaddexp(lse, other_lse)
    share = (other_lse - total).exp_().t()[..., None]
    out.copy_(torch.lerp(out.to(lse.dtype), other.to(lse.dtype), share))
    lse.copy_(total)
