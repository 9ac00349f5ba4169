"""How a microbatch of prompts and completions lies in one flat row of tokens, without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

ROUND = 8
"""Lengths inside attention are rounded up to this, so that few different shapes occur."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Segments of similar length whose attention is computed side by side, padded.

    A segment is a prompt, or a completion with its prompt as prefix. With S segments padded to L
    tokens and their prefixes to P tokens:
    """

    num_segments: int
    length: int
    """L."""
    prefix: int
    """P; 0 for prompts."""
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


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """A microbatch as one row of N tokens: unique prompts, then completions without their last.

    (The last token of a completion predicts nothing that was sampled.) Build it once per
    microbatch; every layer reads it.
    """

    token_ids: Tensor
    """[1, N]."""
    position_ids: Tensor
    """[1, N]; a completion's go on after its prompt's."""
    buckets: tuple[Bucket, ...]
    predicting_rows: Tensor
    """[C]: for every completion token, in order, the row whose hidden state predicts it."""
    targets: Tensor
    """[C]: the completions' tokens."""
    lengths: Tensor
    """[B]: tokens of each completion; they sum to C."""
    longest: int
    """Tokens of the longest prompt with its completion."""

    @staticmethod
    def build(
        prompts: Sequence[Sequence[int]],
        completions: Sequence[Sequence[int]],
        prompt_index: Sequence[int],
        device: torch.device | str = "cpu",
        scores_per_bucket: int | None = None,
    ) -> PackedLayout:
        """Lay out completions and the prompts that they share.

        Args:
            prompts: token ids of every prompt, once; none is empty.
            completions: token ids, end token included.
            prompt_index: for each completion, which prompt it follows.
            device: where the model is.
            scores_per_bucket: attention scores per head (padding included) that exist at once;
                changes speed and memory only. None: 2**16 on a CPU, where they should stay in the
                cache; 2**22 elsewhere.
        """
        if scores_per_bucket is None:
            scores_per_bucket = 2**16 if torch.device(device).type == "cpu" else 2**22
        if not all(prompts):
            raise ValueError("every prompt needs a token: the first completion token follows it")
        prompt_lengths = torch.tensor([len(p) for p in prompts], dtype=torch.long)
        lengths = torch.tensor([len(c) for c in completions], dtype=torch.long)
        owner = torch.tensor(list(prompt_index), dtype=torch.long)
        if len(owner) != len(lengths):
            raise ValueError(f"{len(lengths)} completions, but {len(owner)} prompt indices")
        fed = (lengths - 1).clamp(min=0)
        starts = _starts(torch.cat([prompt_lengths, fed]))
        prompt_starts, fed_starts = starts[: len(prompts)], starts[len(prompts) :]
        ids = [token for prompt in prompts for token in prompt]
        ids += [token for completion in completions for token in completion[:-1]]
        begin = torch.cat([torch.zeros_like(prompt_lengths), prompt_lengths[owner]])
        positions = _ragged_range(begin, torch.cat([prompt_lengths, fed]))
        none = torch.zeros_like(prompt_lengths)
        segments = torch.stack([prompt_starts, prompt_lengths, none, none], 1)
        followers = torch.stack([fed_starts, fed, prompt_starts[owner], prompt_lengths[owner]], 1)
        buckets = [
            *_buckets(segments, scores_per_bucket),
            *_buckets(followers[fed > 0], scores_per_bucket),
        ]
        last_prompt_rows = (prompt_starts + prompt_lengths - 1)[owner]
        return PackedLayout(
            token_ids=torch.tensor([ids], dtype=torch.long).to(device),
            position_ids=positions[None].to(device),
            buckets=tuple(_on(bucket, device) for bucket in buckets),
            predicting_rows=_predicting(last_prompt_rows, fed_starts, lengths).to(device),
            targets=torch.tensor([t for c in completions for t in c], dtype=torch.long).to(device),
            lengths=lengths.to(device),
            longest=int((prompt_lengths[owner] + lengths).max()) if len(owner) else 0,
        )

    def pad(self, values: Tensor) -> Tensor:
        """One number per completion token, [C], as [B, T] with 0 after the end; differentiable."""
        mask = self.loss_mask()
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    def loss_mask(self) -> Tensor:
        """[B, T] bool: the tokens of each completion, T being the longest's."""
        width = int(self.lengths.max()) if len(self.lengths) else 0
        return torch.arange(width, device=self.lengths.device) < self.lengths[:, None]


def _starts(lengths: Tensor) -> Tensor:
    return lengths.cumsum(0) - lengths


def _ragged_range(begin: Tensor, lengths: Tensor) -> Tensor:
    """begin[0], begin[0] + 1, ... (lengths[0] of them), begin[1], ...: [sum of lengths]."""
    ones = torch.arange(int(lengths.sum()))
    return ones + (begin - _starts(lengths)).repeat_interleave(lengths)


def _predicting(last_prompt_rows: Tensor, fed_starts: Tensor, lengths: Tensor) -> Tensor:
    """The prompt's last row for a completion's first token, then its own rows."""
    rows = _ragged_range(fed_starts - 1, lengths)
    first = _starts(lengths)[lengths > 0]
    rows[first] = last_prompt_rows[lengths > 0]
    return rows


def _buckets(segments: Tensor, scores_per_bucket: int) -> list[Bucket]:
    """Cut segments, longest first, into buckets whose padded scores stay below the bound.

    Args:
        segments: [S, 4] of start, length, prefix start, prefix length.
    """
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
