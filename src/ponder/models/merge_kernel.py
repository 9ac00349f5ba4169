"""``merge`` as a Triton kernel: one pass over memory. Only imported where there is CUDA."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

ROWS = 16
"""Tokens that a program handles, of one head."""


def merge(out: Tensor, lse: Tensor, other: Tensor, other_lse: Tensor) -> None:
    """As ``merge.merge``."""
    num_rows, heads, size = out.shape
    _merge[(triton.cdiv(num_rows, ROWS), heads)](
        out,
        lse,
        other,
        other_lse,
        num_rows,
        lse.stride(0),
        other_lse.stride(0),
        heads=heads,
        size=size,
        lanes=triton.next_power_of_2(size),
        rows=ROWS,
        num_warps=4,
    )


@triton.jit  # type: ignore[untyped-decorator]
def _merge(  # type: ignore[no-untyped-def]
    out,
    lse,
    other,
    other_lse,
    num_rows,
    lse_stride,
    other_stride,
    heads: tl.constexpr,
    size: tl.constexpr,
    lanes: tl.constexpr,
    rows: tl.constexpr,
) -> Any:
    head = tl.program_id(1)
    row = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)
    lane = tl.arange(0, lanes)
    a = tl.load(lse + head * lse_stride + row, mask=row < num_rows, other=0.0)
    b = tl.load(other_lse + head * other_stride + row, mask=row < num_rows, other=0.0)
    top = tl.maximum(a, b)
    total = top + tl.log(tl.exp(a - top) + tl.exp(b - top))
    share = tl.exp(b - total)[:, None]
    at = (row[:, None] * heads + head) * size + lane[None, :]
    inside = (row[:, None] < num_rows) & (lane[None, :] < size)
    x = tl.load(out + at, mask=inside, other=0.0).to(tl.float32)
    y = tl.load(other + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + at, (x + share * (y - x)).to(out.dtype.element_ty), mask=inside)
    tl.store(lse + head * lse_stride + row, total, mask=row < num_rows)
