"""Segments of a flat row, side by side with padding, for attention that has no varlen kernel."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

ROUND = 8
"""Lengths inside attention are rounded up to this, so that few different shapes occur."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Segments of similar length whose attention is computed side by side, padded.

    A segment is a prompt, a completion with its prompt as prefix, or both in one. With S segments
    padded to L tokens and their prefixes to P tokens:
    """

    num_segments: int
    length: int
    """L."""
    prefix: int
    """P; 0 for segments without a prefix."""
    query_rows: Tensor
    """[S * L] rows of the flat row; padding repeats a segment's last."""
    key_rows: Tensor
    """[S * (P + L)] rows: a segment's prefix, then itself."""
    real: Tensor
    """[R] positions in ``query_rows`` that are no padding."""
    real_rows: Tensor
    """[R] the rows that they hold."""
    padding: Tensor
    """[S * L - R] positions in ``query_rows`` that are."""
    future: Tensor
    """[L, L] float32: -inf above the diagonal, 0 elsewhere; added to scores. It hides a segment's
    own padding too, which comes after its tokens."""
    hidden_prefix: Tensor | None
    """[S, 1, 1, P] float32: -inf at the padding of prefixes, 0 elsewhere; None: there is none."""


def make_buckets(
    segments: Tensor, scores_per_bucket: int, device: torch.device | str
) -> tuple[Bucket, ...]:
    """Cut segments into buckets, those without a prefix first.

    Args:
        segments: [S, 4] int64 on the CPU: start, length, prefix start, prefix length.
        scores_per_bucket: bound on padded scores per head (one segment may exceed it).
    """
    has_prefix = segments[:, 3] > 0
    buckets = [
        *_cut(segments[~has_prefix], scores_per_bucket),
        *_cut(segments[has_prefix], scores_per_bucket),
    ]
    return tuple(_on(bucket, device) for bucket in buckets)


def _cut(segments: Tensor, scores_per_bucket: int) -> list[Bucket]:
    """Longest first, as many to a bucket as the bound allows."""
    order = segments[:, 1].argsort(descending=True, stable=True)
    lengths, prefixes = segments[order, 1].tolist(), segments[order, 3].tolist()
    buckets: list[Bucket] = []
    begin, prefix = 0, 0
    for end in range(1, len(lengths) + 1):
        prefix = max(prefix, prefixes[end - 1])
        length = lengths[begin]
        following = max(prefix, prefixes[end]) if end < len(lengths) else 0
        is_full = (end - begin + 1) * length * (length + following) > scores_per_bucket
        if is_full or end == len(lengths):
            buckets.append(_bucket(segments[order[begin:end]]))
            begin, prefix = end, 0
    return buckets


def _bucket(segments: Tensor) -> Bucket:
    start, length, prefix_start, prefix_length = segments.unbind(1)
    width, prefix_width = _round_up(int(length.max())), _round_up(int(prefix_length.max()))
    own = _padded_rows(start, length, width)
    before = _padded_rows(prefix_start, prefix_length, prefix_width)
    is_real = (torch.arange(width) < length[:, None]).flatten()
    is_hidden = torch.arange(prefix_width) >= prefix_length[:, None]
    hidden = torch.zeros(is_hidden.shape).masked_fill_(is_hidden, -torch.inf)
    return Bucket(
        num_segments=len(segments),
        length=width,
        prefix=prefix_width,
        query_rows=own.flatten(),
        key_rows=torch.cat([before, own], 1).flatten(),
        real=is_real.nonzero().flatten(),
        real_rows=own.flatten()[is_real],
        padding=(~is_real).nonzero().flatten(),
        future=torch.full((width, width), -torch.inf).triu_(1),
        hidden_prefix=hidden[:, None, None, :] if is_hidden.any() else None,
    )


def _padded_rows(start: Tensor, length: Tensor, width: int) -> Tensor:
    """[S, width]: rows of each segment; after its end, its last row again."""
    return start[:, None] + torch.minimum(torch.arange(width), (length[:, None] - 1).clamp(min=0))


def _round_up(length: int) -> int:
    return -(-length // ROUND) * ROUND


def _on(bucket: Bucket, device: torch.device | str) -> Bucket:
    values = {field.name: getattr(bucket, field.name) for field in fields(bucket)}
    moved: dict[str, Any] = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
    return replace(bucket, **moved)
