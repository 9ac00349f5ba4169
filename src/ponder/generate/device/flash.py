"""FlashAttention over sequences of different lengths, as torch carries it for CUDA."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_HEAD = 256


def can_flash(query: Tensor, value: Tensor) -> bool:
    """Whether the kernel takes such heads: on CUDA, 16 bits, keys as wide as values."""
    width = query.shape[-1]
    plain = width == value.shape[-1] and width <= LARGEST_HEAD and width % 8 == 0
    return query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and plain


def flash_varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    scale: float,
    window: int | None,
) -> Tensor:
    """Causal attention of the last tokens of each sequence over all of its tokens.

    Args:
        query: [N, heads, D]; key and value: [K, kv_heads, D].
        starts: of the sequences in query and in key, [sequences + 1] int32 each.
        longest: most tokens of a sequence in query and in key.

    Returns:
        [N, heads, D].
    """
    out: Tensor = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        *starts,
        *longest,
        0.0,
        True,
        False,
        scale=scale,
        window_size_left=-1 if window is None else window - 1,
        window_size_right=0,
    )[0]
    return out
