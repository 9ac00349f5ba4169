"""Pieces of a language-model head: logits of some tokens or of some of the vocabulary at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ALIGN = 128
"""Pieces of the vocabulary begin at multiples of this, which suits matrix products."""


def vocabulary_parts(vocab: int, num_tokens: int, chunk_tokens: int) -> Iterator[slice]:
    """Slices of which ``num_tokens`` rows take no more memory than ``chunk_tokens`` whole rows."""
    width = max(1, chunk_tokens * vocab // max(1, num_tokens))
    if width > ALIGN:
        width -= width % ALIGN
    for first in range(0, vocab, width):
        yield slice(first, min(first + width, vocab))


def wide_type(dtype: torch.dtype) -> torch.dtype:
    """What sums and logits of this type are computed in."""
    return torch.float64 if dtype is torch.float64 else torch.float32


def wide_zeros(like: Tensor) -> Tensor:
    """Zeros of the shape of ``like``, in its wide type."""
    return torch.zeros_like(like, dtype=wide_type(like.dtype))


def head_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """[n, v] in float32 or float64; a new buffer that may be overwritten."""
    logits = wide_matmul(hidden, weight.t())
    return logits if bias is None else logits.add_(bias)


def wide_matmul(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, summed and returned in float32 (products of bfloat16 are exact in it)."""
    wide = wide_type(left.dtype)
    if left.dtype is wide:
        return left @ right
    if left.is_cuda:
        return torch.mm(left, right, out_dtype=wide)
    return left.to(wide) @ right.to(wide)


def add_matmul(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, in the (wide) type of ``total``."""
    if left.dtype is total.dtype:
        total.addmm_(left, right)
    else:
        total.add_(wide_matmul(left, right))
