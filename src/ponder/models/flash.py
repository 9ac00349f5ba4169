"""Attention over a ``PackedLayout`` by varlen kernels: nothing padded, nothing gathered.

Two halves: every segment over itself (causal), and completions over their shared prompt (all of
it). The completions of a prompt lie side by side, so both halves are plain varlen calls on slices
of the flat row. Their outputs are merged by their log-sum-exps; the backward pass gives each half
the *merged* output and log-sum-exp, which makes its share of the gradient exact, and adds up.

It is a custom operator, so that torch.compile leaves it whole and activation checkpointing can
keep its result.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ponder.models.packed_layout import Cuts
from ponder.models.varlen import Bounds, attend, attend_backward

HALF = (torch.bfloat16, torch.float16)


def has_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    """Are there varlen kernels? They want CUDA and 16 bits."""
    return device.type == "cuda" and dtype in HALF


def flash_takes(query: Tensor, value: Tensor) -> bool:
    """Do PyTorch's varlen kernels take these [N, heads, D]?"""
    size = query.shape[-1]
    fits = size % 8 == 0 and size <= 256 and value.shape[-1] == size
    return fits and has_kernels(query.device, query.dtype)


def flash_attention(query: Tensor, key: Tensor, value: Tensor, cuts: Cuts, scale: float) -> Tensor:
    """As ``packed_attention``: [N, heads, D] over [N, kv_heads, D] -> [N, heads, D]."""
    out: Tensor = packed_flash(query, key, value, *cuts, scale)[0]
    return out


@torch.library.custom_op("ponder::packed_flash", mutates_args=())
def packed_flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    own: Tensor,
    keys: Tensor,
    queries: Tensor,
    sizes: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """out [N, heads, D] and lse [heads, N] of both halves, merged; the integers are ``Cuts``."""
    causal, across, shared, after = _halves(own, keys, queries, sizes)
    out, lse = attend(query, key, value, causal, scale)
    if after.stop > after.start:
        other = attend(query[after], key[shared], value[shared], across, scale)
        _merge(out[after], lse[:, after], *other)
    return out, lse


@packed_flash.register_fake
def _(query: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    wide = torch.float64 if query.dtype is torch.float64 else torch.float32
    num, heads, _size = query.shape
    return query.new_empty(query.shape), query.new_empty((heads, num), dtype=wide)


@torch.library.custom_op("ponder::packed_flash_backward", mutates_args=())
def packed_flash_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    own: Tensor,
    keys: Tensor,
    queries: Tensor,
    sizes: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value, contiguous."""
    causal, across, shared, after = _halves(own, keys, queries, sizes)
    grads = attend_backward(grad, query, key, value, out, lse, causal, scale)
    dq, dk, dv = (g.contiguous() for g in grads)
    if after.stop > after.start:
        q, g, o = query[after], grad[after], out[after]
        k, v = key[shared], value[shared]
        more = attend_backward(g, q, k, v, o, lse[:, after], across, scale)
        for total, part, rows in zip((dq, dk, dv), more, (after, shared, shared), strict=True):
            total[rows] += part
    return dq, dk, dv


@packed_flash_backward.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any) -> tuple[Tensor, ...]:
    q, k, v = (t.new_empty(t.shape) for t in (query, key, value))
    return q, k, v


def _halves(
    own: Tensor, keys: Tensor, queries: Tensor, sizes: Tensor
) -> tuple[Bounds, Bounds, slice, slice]:
    """The bounds of both calls, and the rows of shared prompts and of their completions."""
    max_own, max_keys, max_queries, num_keys, end = sizes.tolist()
    causal = Bounds(own, own, max_own, max_own, True)
    # One query per prompt would send FlashAttention down a path for decoding.
    across = Bounds(queries, keys, max(max_queries, 2), max_keys, False)
    return causal, across, slice(0, num_keys), slice(num_keys, end)


def _merge(out: Tensor, lse: Tensor, other: Tensor, other_lse: Tensor) -> None:
    """Make ``out`` [n, heads, D] and ``lse`` [heads, n] those of both sets of keys together."""
    if out.is_cuda:
        from ponder.models.merge_kernel import merge
    else:
        from ponder.models.merge import merge
    merge(out, lse, other, other_lse)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.scale = inputs
    ctx.save_for_backward(*tensors, *output)


def _differentiate(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    query, key, value, own, keys, queries, sizes, out, lse = ctx.saved_tensors
    cuts = (own, keys, queries, sizes)
    grads = packed_flash_backward(grad, query, key, value, out, lse, *cuts, ctx.scale)
    return (*grads, None, None, None, None, None)


packed_flash.register_autograd(_differentiate, setup_context=_keep)
