"""What attention's kernels share: vectors in, some columns attended to. Triton."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def load_vectors(  # type: ignore[no-untyped-def]
    start, dims, there, cos, sin, DIM: tl.constexpr, ROTATED: tl.constexpr
):
    """Numbers ``dims`` of the vectors at ``start``, with ``ROTATED`` turned by the angles whose
    cosines and sines are at ``cos`` and ``sin``: the first half of a vector is the real part, the
    second the imaginary. Read past the first-level cache, where kernels that overlap could find
    what was there before."""
    x = tl.load(start + dims, mask=there, other=0.0, cache_modifier=".cg")
    if ROTATED:
        partner = (dims + DIM // 2) % DIM
        y = tl.load(start + partner, mask=there, other=0.0, cache_modifier=".cg").to(tl.float32)
        y = tl.where(dims < DIM // 2, -y, y)
        c = tl.load(cos + dims, mask=there, other=0.0).to(tl.float32)
        s = tl.load(sin + dims, mask=there, other=0.0).to(tl.float32)
        x = (x.to(tl.float32) * c + y * s).to(x.dtype)
    return x


@triton.jit  # type: ignore[untyped-decorator]
def cached_at(pages, DTYPE: tl.constexpr):  # type: ignore[no-untyped-def]
    """The cache's keys (values: of ``pages + 1``). Without the promise of an aligned address, loads
    would be of two bytes each."""
    return tl.multiple_of(tl.load(pages).to(tl.pointer_type(DTYPE)), 16)


@triton.jit  # type: ignore[untyped-decorator]
def load_cached(cached, start, seen, dims, DIM: tl.constexpr):  # type: ignore[no-untyped-def]
    """The vectors [columns, dims] that begin at ``start`` [columns], where they are ``seen``."""
    there = seen[:, None] & (dims < DIM)[None, :]
    return tl.load(cached + start[:, None] + dims[None, :], mask=there, other=0.0)


@triton.jit  # type: ignore[untyped-decorator]
def attend_to(  # type: ignore[no-untyped-def]
    q, k, v, seen, top, total, mixed, log2_scale, PRECISION: tl.constexpr
):
    """Some more columns: (largest score, sum of exponentials, mixed values) with them.

    Where no column so far was seen, what is summed up fades to 0 with the first that is.
    """
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * log2_scale
    scores = tl.where(seen[None, :], scores, -1e30)
    higher = tl.maximum(top, tl.max(scores, 1))
    weights = tl.exp2(scores - higher[:, None])
    fade = tl.exp2(top - higher)
    total = total * fade + tl.sum(weights, 1)
    mixed = mixed * fade[:, None]
    mixed = tl.dot(weights.to(v.dtype), v, mixed, input_precision=PRECISION)
    return higher, total, mixed
