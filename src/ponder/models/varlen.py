"""One call of varlen attention, as (out, lse) and back: the plain formula and PyTorch's kernels.

Sequences lie one after another in a flat row; cu_q and cu_k [S + 1] hold their bounds as queries
and as keys. With S = scale Q K^T and P = exp(S - lse): out = P V, dV = P^T dO,
dS = P (dO V^T - rowsum(dO out)), dQ = scale dS K, dK = scale dS^T Q. The backward formula needs
``out`` and ``lse`` only of the whole softmax, so that keys may be split among several calls.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

CUDNN_FROM = 4096
"""Tokens from which a microbatch that is a single sequence goes to cuDNN's attention, which is
faster than FlashAttention-2 on an H100. 0 switches it off."""

CUDNN_ROUND = 1024
"""Lengths are rounded up to this for cuDNN, which makes a plan for every new one."""


class Bounds(NamedTuple):
    """Which queries see which keys. int32 [S + 1] each, and the longest of each."""

    queries: Tensor
    keys: Tensor
    max_queries: int
    max_keys: int
    is_causal: bool
    """True: queries and keys are the same tokens, and see what came before and themselves."""


def attend(
    query: Tensor, key: Tensor, value: Tensor, bounds: Bounds, scale: float
) -> tuple[Tensor, Tensor]:
    """Attention of every sequence over itself or over its keys.

    Args:
        query: [N, heads, D]; key, value: [M, kv_heads, D].

    Returns:
        out [N, heads, D] and lse [heads, N] (float32; float64 for float64), both contiguous.
    """
    if not query.is_cuda:
        return _plain(query, key, value, bounds, scale)
    if _is_one_long_sequence(query, bounds):
        return _cudnn(query, key, value, scale)
    out, lse, *_ = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        bounds.queries,
        bounds.keys,
        bounds.max_queries,
        bounds.max_keys,
        0.0,
        bounds.is_causal,
        False,
        scale=scale,
    )
    return out.contiguous(), lse.contiguous()


def attend_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    bounds: Bounds,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value, given ``out`` and ``lse`` of each query's whole softmax
    (which may range over more keys than these)."""
    if not query.is_cuda:
        return _plain_backward(grad, query, key, value, out, lse, bounds, scale)
    if _is_one_long_sequence(query, bounds):
        return _cudnn_backward(grad, query, key, value, out, lse, scale)
    unused = torch.zeros(2, dtype=torch.uint64, device=query.device)  # of dropout, which is off
    result: tuple[Tensor, Tensor, Tensor] = torch.ops.aten._flash_attention_backward(
        grad.contiguous(),
        query,
        key,
        value,
        out,
        lse.contiguous(),
        bounds.queries,
        bounds.keys,
        bounds.max_queries,
        bounds.max_keys,
        0.0,
        bounds.is_causal,
        unused,
        unused,
        scale=scale,
    )
    return result


def _is_one_long_sequence(query: Tensor, bounds: Bounds) -> bool:
    one = bounds.is_causal and len(bounds.queries) == 2
    return one and 0 < CUDNN_FROM <= len(query) and query.shape[2] <= 128


def _cudnn(query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    q, k, v = (_as_batch(t) for t in (query, key, value))
    num, padded = len(query), q.shape[2]
    out, lse, *_ = torch.ops.aten._cudnn_attention_forward(
        q, k, v, None, None, None, padded, padded, True, 0.0, True, False, scale=scale
    )
    lse = lse.reshape(query.shape[1], padded)[:, :num]
    return out[0, :, :num].transpose(0, 1).contiguous(), lse.contiguous()


def _cudnn_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    # Padding comes after everything in causal order, and has a gradient of 0.
    q, k, v, o, g = (_as_batch(t) for t in (query, key, value, out, grad))
    num, padded = len(query), q.shape[2]
    lse = functional.pad(lse, (0, padded - num))[None, :, :, None]
    unused = torch.zeros((), dtype=torch.long, device=query.device)  # of dropout, which is off
    dq, dk, dv = torch.ops.aten._cudnn_attention_backward(
        g,
        q,
        k,
        v,
        o,
        lse,
        unused,
        unused,
        None,
        None,
        None,
        padded,
        padded,
        0.0,
        True,
        scale=scale,
    )
    dq, dk, dv = (t[0, :, :num].transpose(0, 1) for t in (dq, dk, dv))
    return dq, dk, dv


def _as_batch(flat: Tensor) -> Tensor:
    """[N, heads, D] -> [1, heads, N rounded up, D]."""
    missing = -len(flat) % CUDNN_ROUND
    return functional.pad(flat, (0, 0, 0, 0, 0, missing)).transpose(0, 1)[None]


def _plain(
    query: Tensor, key: Tensor, value: Tensor, bounds: Bounds, scale: float
) -> tuple[Tensor, Tensor]:
    out = torch.empty_like(query, memory_format=torch.contiguous_format)
    lse = query.new_empty(query.shape[1], len(query), dtype=_wide(query))
    for queries, keys in _sequences(bounds):
        k, v = (_expanded(t[keys], query) for t in (key, value))
        scores = _scores(query[queries], k, bounds.is_causal, scale)
        lse[:, queries] = scores.logsumexp(-1)
        out[queries] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).to(out.dtype)
    return out, lse


def _plain_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    bounds: Bounds,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    grads = [torch.zeros_like(t, dtype=_wide(t)) for t in (query, key, value)]
    for queries, keys in _sequences(bounds):
        q, g, o = (t[queries].to(_wide(t)) for t in (query, grad, out))
        k, v = (_expanded(t[keys], query) for t in (key, value))
        probabilities = (_scores(q, k, bounds.is_causal, scale) - lse[:, queries, None]).exp()
        weight = (g * o).sum(-1).t()[..., None]
        grad_scores = probabilities * (torch.einsum("qhd,khd->hqk", g, v) - weight) * scale
        grads[0][queries] = torch.einsum("hqk,khd->qhd", grad_scores, k)
        grads[1][keys] = _folded(torch.einsum("hqk,qhd->khd", grad_scores, q), key)
        grads[2][keys] = _folded(torch.einsum("hqk,qhd->khd", probabilities, g), value)
    dq, dk, dv = (g.to(t.dtype) for g, t in zip(grads, (query, key, value), strict=True))
    return dq, dk, dv


def _sequences(bounds: Bounds) -> list[tuple[slice, slice]]:
    q, k = bounds.queries.tolist(), bounds.keys.tolist()
    return [(slice(q[i], q[i + 1]), slice(k[i], k[i + 1])) for i in range(len(q) - 1)]


def _scores(query: Tensor, key: Tensor, is_causal: bool, scale: float) -> Tensor:
    """[heads, queries, keys] with -inf where a key is hidden."""
    scores = torch.einsum("qhd,khd->hqk", query.to(key.dtype), key) * scale
    if is_causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -torch.inf)
    return scores


def _expanded(flat: Tensor, query: Tensor) -> Tensor:
    """Keys or values [K, kv_heads, D] for every query head, in the wide type."""
    return flat.to(_wide(flat)).repeat_interleave(query.shape[1] // flat.shape[1], 1)


def _folded(grad: Tensor, like: Tensor) -> Tensor:
    """[K, heads, D] -> [K, kv_heads, D]: query heads that share a key head add up."""
    return grad.view(len(grad), like.shape[1], -1, grad.shape[-1]).sum(2)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype is torch.float64 else torch.float32
