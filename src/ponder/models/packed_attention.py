"""Attention over a ``PackedLayout``: completions see their shared prompt and themselves.

Two forms of one function: plain products with a hand-written gradient (float32 on a CPU, where
PyTorch's fused attention is slow on short sequences) and ``scaled_dot_product_attention`` (the
rest).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ponder.algo.matmul import onednn_matmul
from ponder.models.packed_buckets import Bucket


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, buckets: tuple[Bucket, ...], scale: float
) -> Tensor:
    """Causal attention of every segment over its prefix and itself.

    Args:
        query: [N, heads, D], the flat row's.
        key: [N, kv_heads, D]; value: [N, kv_heads, E]. heads is a multiple of kv_heads, head h
            reading key head h // (heads / kv_heads).
        buckets: of the layout; together they hold every row exactly once as a query.
        scale: of the scores.

    Returns:
        [N, heads, E]. Gradients of shared prompts are sums over the completions that saw them.
    """
    if query.device.type == "cpu" and query.dtype in (torch.float32, torch.float64):
        out: Tensor = _ByProducts.apply(query, key, value, buckets, scale)  # type: ignore[no-untyped-call]
        return out
    return _fused(query, key, value, buckets, scale)


def _fused(
    query: Tensor, key: Tensor, value: Tensor, buckets: tuple[Bucket, ...], scale: float
) -> Tensor:
    groups = query.shape[1] // key.shape[1]
    parts = []
    for bucket in buckets:
        q = _side_by_side(query, bucket.query_rows, bucket)
        # Kernels that take a mask want as many key heads as query heads.
        k = _side_by_side(key, bucket.key_rows, bucket).repeat_interleave(groups, 1)
        v = _side_by_side(value, bucket.key_rows, bucket).repeat_interleave(groups, 1)
        mask = _visible(bucket) if bucket.prefix else None
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale
        )
        parts.append(out.transpose(1, 2).flatten(0, 1).index_select(0, bucket.real))
    rows = torch.cat([bucket.real_rows for bucket in buckets])
    return torch.cat(parts).index_select(0, rows.argsort())


def _side_by_side(flat: Tensor, rows: Tensor, bucket: Bucket) -> Tensor:
    """[N, heads, D] -> [S, heads, tokens, D]."""
    taken = flat.index_select(0, rows)
    return taken.view(bucket.num_segments, -1, *flat.shape[1:]).transpose(1, 2)


def _visible(bucket: Bucket) -> Tensor:
    """[S, 1, L, P + L] bool: which keys each query may see."""
    size = (bucket.num_segments, 1, bucket.length, bucket.prefix + bucket.length)
    visible = torch.ones(size, dtype=torch.bool, device=bucket.future.device)
    visible[..., bucket.prefix :] &= bucket.future == 0
    if bucket.hidden_prefix is not None:
        visible[..., : bucket.prefix] &= bucket.hidden_prefix == 0
    return visible


class _ByProducts(torch.autograd.Function):
    """softmax(Q K^T + mask) V bucket by bucket; the backward pass computes the softmax again.

    With O = P V, S = Q K^T: dV = P^T dO, dS = P (dO V^T - rowsum(dO O)), dQ = dS K, dK = dS^T Q.
    Padding queries get dO = 0 and hence give no gradient to anything.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        buckets: tuple[Bucket, ...],
        scale: float,
    ) -> Tensor:
        out = query.new_empty(*query.shape[:2], value.shape[2])
        with onednn_matmul():
            for bucket in buckets:
                q = _by_head(query, bucket.query_rows, bucket, key.shape[1]).mul_(scale)
                k = _by_head(key, bucket.key_rows, bucket, key.shape[1])
                v = _by_head(value, bucket.key_rows, bucket, key.shape[1])
                padded = _by_token(torch.bmm(_probabilities(q, k, bucket), v), bucket, query)
                _put(out, padded, bucket)
        ctx.save_for_backward(query, key, value, out)
        ctx.buckets, ctx.scale = buckets, scale
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out = ctx.saved_tensors
        grad_query = torch.empty_like(query, memory_format=torch.contiguous_format)
        grad_key = torch.zeros_like(key, memory_format=torch.contiguous_format)
        grad_value = torch.zeros_like(value, memory_format=torch.contiguous_format)
        weight = (grad_out * out).sum(-1, keepdim=True)
        with onednn_matmul():
            for bucket in ctx.buckets:
                kv_heads = key.shape[1]
                q = _by_head(query, bucket.query_rows, bucket, kv_heads).mul_(ctx.scale)
                k = _by_head(key, bucket.key_rows, bucket, kv_heads)
                v = _by_head(value, bucket.key_rows, bucket, kv_heads)
                grad = _by_head(grad_out, bucket.query_rows, bucket, kv_heads, bucket.padding)
                row_sum = _by_head(weight, bucket.query_rows, bucket, kv_heads, bucket.padding)
                probabilities = _probabilities(q, k, bucket)
                grad_v = torch.bmm(probabilities.transpose(1, 2), grad)
                grad_scores = torch.bmm(grad, v.transpose(1, 2)).sub_(row_sum).mul_(probabilities)
                grad_q = torch.bmm(grad_scores, k).mul_(ctx.scale)
                _put(grad_query, _by_token(grad_q, bucket, query), bucket)
                grad_k = torch.bmm(grad_scores.transpose(1, 2), q)
                _add(grad_key, _by_token(grad_k, bucket, key), bucket)
                _add(grad_value, _by_token(grad_v, bucket, value), bucket)
        return grad_query, grad_key, grad_value, None, None


def _by_head(
    flat: Tensor, rows: Tensor, bucket: Bucket, kv_heads: int, zeroed: Tensor | None = None
) -> Tensor:
    """[N, heads, D] -> [S * kv_heads, heads / kv_heads * tokens, D], a new buffer.

    Query heads that share a key head become more queries of that head.
    """
    heads, size = flat.shape[1:]
    taken = flat.reshape(len(flat), heads * size).index_select(0, rows)
    if zeroed is not None:
        taken.index_fill_(0, zeroed, 0.0)
    split = taken.view(bucket.num_segments, -1, kv_heads, heads // kv_heads, size)
    return split.permute(0, 2, 3, 1, 4).reshape(bucket.num_segments * kv_heads, -1, size)


def _by_token(by_head: Tensor, bucket: Bucket, like: Tensor) -> Tensor:
    """[S * kv_heads, heads / kv_heads * tokens, D] -> [S * tokens, heads * D]."""
    heads, size = like.shape[1], by_head.shape[-1]
    by_segment = by_head.view(bucket.num_segments, heads, -1, size)
    return by_segment.transpose(1, 2).reshape(-1, heads * size)


def _put(flat: Tensor, padded: Tensor, bucket: Bucket) -> None:
    """Write the real tokens of [S * L, heads * D] to their rows of [N, heads, D]."""
    real = padded.index_select(0, bucket.real)
    flat.view(len(flat), -1).index_copy_(0, bucket.real_rows, real)


def _add(flat: Tensor, padded: Tensor, bucket: Bucket) -> None:
    """Add keys' gradients [S * (P + L), heads * D] to their rows (padding's are 0)."""
    flat.view(len(flat), -1).index_add_(0, bucket.key_rows, padded)


def _probabilities(query: Tensor, key: Tensor, bucket: Bucket) -> Tensor:
    """softmax over visible keys, of queries that are scaled already: [S * kv_heads, .., P + L]."""
    scores = torch.bmm(query, key.transpose(1, 2))
    by_segment = scores.view(bucket.num_segments, -1, bucket.length, key.shape[1])
    by_segment[..., bucket.prefix :].add_(bucket.future)
    if bucket.hidden_prefix is not None:
        by_segment[..., : bucket.prefix].add_(bucket.hidden_prefix)
    return torch.softmax(scores, -1)
