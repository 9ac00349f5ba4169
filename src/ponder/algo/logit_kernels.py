"""The passes of ``logit_passes`` as Triton kernels: each reads the logits once.

Only imported where there is CUDA (or, in tests, Triton's interpreter).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 2048
"""Columns that a program handles at a time."""


def summarise(logits: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """As ``logit_passes.summarise``, for contiguous float32; leaves ``logits`` alone."""
    logprobs, entropy, normaliser = logits.new_empty(3, len(logits)).unbind()
    if len(logits):
        _summarise[(len(logits),)](
            logits,
            targets,
            logprobs,
            entropy,
            normaliser,
            1.0 / temperature,
            width=logits.shape[1],
            block=BLOCK,
            num_warps=8,
        )
    return logprobs, entropy, normaliser


def subtract_onehot(
    logits: Tensor,
    targets: Tensor,
    normaliser: Tensor,
    first: int,
    temperature: float,
    dtype: torch.dtype,
) -> Tensor:
    """As ``logit_passes.subtract_onehot``, for contiguous float32; leaves ``logits`` alone."""
    num_rows, width = logits.shape
    delta = torch.empty_like(logits, dtype=dtype)
    if delta.numel():
        _subtract_onehot[(num_rows, triton.cdiv(width, BLOCK))](
            logits,
            targets,
            normaliser,
            delta,
            width,
            first,
            1.0 / temperature,
            block=BLOCK,
            num_warps=8,
        )
    return delta


@triton.jit  # type: ignore[untyped-decorator]
def _summarise(  # type: ignore[no-untyped-def]
    logits,
    targets,
    logprobs,
    entropy,
    normaliser,
    coldness,
    width: tl.constexpr,
    block: tl.constexpr,
) -> Any:
    """One program per row. Every lane keeps, of the columns that it saw, the largest logit m, the
    sum of e^(x - m) and that of (x - m) e^(x - m); lanes are merged at the end."""
    row = tl.program_id(0).to(tl.int64)
    start = logits + row * width
    lanes = tl.arange(0, block)
    top = tl.full([block], -1e30, tl.float32)
    total = tl.zeros([block], tl.float32)
    weighted = tl.zeros([block], tl.float32)
    for begin in range(0, width, block):
        x = tl.load(start + begin + lanes, mask=begin + lanes < width, other=-float("inf"))
        x = x * coldness
        new_top = tl.maximum(top, x)
        drop = top - new_top
        shrink = tl.exp(drop)
        above = x - new_top
        e = tl.exp(above)
        weighted = shrink * (weighted + drop * total) + tl.where(e > 0.0, above * e, 0.0)
        total = shrink * total + e
        top = new_top
    highest = tl.max(top, 0)
    drop = top - highest
    shrink = tl.exp(drop)
    mean = tl.sum(shrink * (weighted + drop * total), 0)
    whole = tl.sum(shrink * total, 0)
    log_whole = tl.log(whole)
    target = tl.load(start + tl.load(targets + row)) * coldness
    tl.store(logprobs + row, target - highest - log_whole)
    tl.store(entropy + row, log_whole - mean / whole)
    tl.store(normaliser + row, highest + log_whole)


@triton.jit  # type: ignore[untyped-decorator]
def _subtract_onehot(  # type: ignore[no-untyped-def]
    logits, targets, normaliser, delta, width, first, coldness, block: tl.constexpr
) -> Any:
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * block + tl.arange(0, block)
    inside = columns < width
    x = tl.load(logits + row * width + columns, mask=inside, other=0.0) * coldness
    probability = tl.exp(x - tl.load(normaliser + row))
    is_target = columns == tl.load(targets + row) - first
    result = probability - tl.where(is_target, 1.0, 0.0)
    tl.store(delta + row * width + columns, result.to(delta.dtype.element_ty), mask=inside)
