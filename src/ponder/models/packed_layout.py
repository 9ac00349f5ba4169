"""How a microbatch of prompts and completions lies in one flat row of tokens, without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ponder.models.packed_buckets import Bucket, make_buckets


class Cuts(NamedTuple):
    """Where segments lie in the flat row, as varlen kernels want it; int32, on the device.

    Prompts that several completions share come first (rows 0 to A), then the completions of these,
    side by side in the order of their prompts (rows A to B), then the rest: prompts with their only
    completion behind them.
    """

    own: Tensor
    """[S + 1]: bounds of all segments, each causal over itself."""
    keys: Tensor
    """[Q + 1]: bounds of the shared prompts; the last is A. (If there are none: 0, 0.)"""
    queries: Tensor
    """[Q + 1]: bounds of the completions of each, counted from row A; the last is B - A."""
    sizes: Tensor
    """[5] int64 on the CPU: the longest of each of the three, A, and B. (A tensor, so that compiled
    code takes the numbers as they come.)"""


@dataclass(frozen=True)
class PackedLayout:
    """A microbatch as one row of N tokens: prompts, and completions without their last.

    (The last token of a completion predicts nothing that was sampled.) Build it once per
    microbatch; every layer reads it.
    """

    token_ids: Tensor
    """[1, N]."""
    position_ids: Tensor
    """[1, N]; a completion's go on after its prompt's."""
    predicting_rows: Tensor
    """[C]: for every completion token, in order, the row whose hidden state predicts it."""
    targets: Tensor
    """[C]: the completions' tokens."""
    lengths: Tensor
    """[B]: tokens of each completion; they sum to C."""
    places: Tensor
    """[C]: where each completion token lies in [B, T], T being ``width``, counted flat."""
    width: int
    """T: tokens of the longest completion."""
    longest: int
    """Tokens of the longest prompt with its completion."""
    segments: Tensor
    """[S, 4] on the CPU, in the order of rows: start, length, prefix start, prefix length. Only
    completions of shared prompts have a prefix."""
    cuts: Cuts
    scores_per_bucket: int

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
            device: where the model is. All that it needs goes there in one copy.
            scores_per_bucket: attention scores per head (padding included) that exist at once,
                where attention has no varlen kernel; changes speed and memory only. None: 2**16 on
                a CPU, where they should stay in the cache; 2**22 elsewhere.
        """
        if scores_per_bucket is None:
            scores_per_bucket = 2**16 if torch.device(device).type == "cpu" else 2**22
        if not all(prompts):
            raise ValueError("every prompt needs a token: the first completion token follows it")
        if len(prompt_index) != len(completions):
            raise ValueError(f"{len(completions)} completions, but {len(prompt_index)} indices")
        prompt_lengths, lengths = _lengths(prompts), _lengths(completions)
        owner = torch.tensor(list(prompt_index), dtype=torch.long)
        tokens = _flat([*prompts, *completions], int(prompt_lengths.sum() + lengths.sum()))
        fed = (lengths - 1).clamp(min=0)
        shared = torch.bincount(owner[fed > 0], minlength=len(prompts)) > 1
        order = _order(owner, shared)
        # Pieces: the prompts, then the completions, as they came.
        sizes = torch.cat([prompt_lengths, fed])
        starts = torch.empty_like(sizes).index_copy_(0, order, _starts(sizes[order]))
        sources = _starts(torch.cat([prompt_lengths, lengths]))
        begins = torch.cat([torch.zeros_like(prompt_lengths), prompt_lengths[owner]])
        last_prompt_rows = (starts[: len(prompts)] + prompt_lengths - 1)[owner]
        width = int(lengths.max()) if len(lengths) else 0
        segments = _segments(starts, sizes, owner, shared)
        bounds, longests = _bounds(segments, prompt_lengths[shared])
        at = _on_device(
            device,
            ids=tokens[_ragged_range(sources[order], sizes[order])],
            positions=_ragged_range(begins[order], sizes[order]),
            predicting=_predicting(last_prompt_rows, starts[len(prompts) :], lengths),
            targets=tokens[int(prompt_lengths.sum()) :],
            lengths=lengths,
            places=_ragged_range(torch.arange(len(lengths)) * width, lengths),
            **bounds,
        )
        return PackedLayout(
            token_ids=at["ids"][None],
            position_ids=at["positions"][None],
            predicting_rows=at["predicting"],
            targets=at["targets"],
            lengths=at["lengths"],
            places=at["places"],
            width=width,
            longest=int((prompt_lengths[owner] + lengths).max()) if len(owner) else 0,
            segments=segments,
            cuts=Cuts(at["own"].int(), at["keys"].int(), at["queries"].int(), longests),
            scores_per_bucket=scores_per_bucket,
        )

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """The same segments for attention without a varlen kernel."""
        return make_buckets(self.segments, self.scores_per_bucket, self.token_ids.device)

    def pad(self, values: Tensor) -> Tensor:
        """One number per completion token, [C], as [B, T] with 0 after the end; differentiable."""
        flat = values.new_zeros(len(self.lengths) * self.width)
        return flat.index_copy(0, self.places, values).view(len(self.lengths), self.width)

    def loss_mask(self) -> Tensor:
        """[B, T] bool: the tokens of each completion, T being the longest's."""
        columns = torch.arange(self.width, device=self.lengths.device)
        return columns < self.lengths[:, None]


def _lengths(rows: Sequence[Sequence[int]]) -> Tensor:
    return torch.tensor([len(row) for row in rows], dtype=torch.long)


def _flat(rows: Sequence[Sequence[int]], num_tokens: int) -> Tensor:
    numbers = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=num_tokens)
    return torch.from_numpy(numbers)


def _order(owner: Tensor, shared: Tensor) -> Tensor:
    """Pieces (prompts, then completions) in the order of rows that ``Cuts`` describes."""
    prompts = torch.arange(len(shared))
    num = 2 * len(shared)
    of_prompts = torch.where(shared, 0, 2 * num) + 2 * prompts
    of_completions = torch.where(shared[owner], num, 2 * num) + 2 * owner + 1
    return torch.cat([of_prompts, of_completions]).argsort(stable=True)


def _segments(starts: Tensor, sizes: Tensor, owner: Tensor, shared: Tensor) -> Tensor:
    """[S, 4], by start: shared prompts, their completions, other prompts with their completion."""
    num = len(shared)
    prompt_starts, prompt_sizes = starts[:num], sizes[:num]
    fed = sizes[num:]
    alone = torch.zeros_like(prompt_sizes).index_add_(0, owner, fed).masked_fill_(shared, 0)
    none = torch.zeros_like(prompt_sizes)
    whole = torch.stack([prompt_starts, prompt_sizes + alone, none, none], 1)
    after = torch.stack([starts[num:], fed, prompt_starts[owner], prompt_sizes[owner]], 1)
    both = torch.cat([whole, after[(fed > 0) & shared[owner]]])
    return both[both[:, 0].argsort()]


def _bounds(segments: Tensor, shared_lengths: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The tensors of ``Cuts``: three to go to the device, and ``sizes``."""
    followers = segments[segments[:, 3] > 0]
    # One prefix after the other: a new one begins where its start changes.
    _, which = torch.unique_consecutive(followers[:, 2], return_inverse=True)
    after = torch.zeros_like(shared_lengths).index_add_(0, which, followers[:, 1])
    parts = {"own": segments[:, 1], "keys": shared_lengths, "queries": after}
    longest = [int(part.max()) if len(part) else 0 for part in parts.values()]
    num_keys = int(shared_lengths.sum())
    sizes = torch.tensor([*longest, num_keys, num_keys + int(after.sum())])
    # No part is empty: compiled code would treat tensors of one element as another case.
    parts = {name: part if len(part) else torch.zeros(1).long() for name, part in parts.items()}
    zero = torch.zeros(1, dtype=torch.long)
    return {name: torch.cat([zero, part.cumsum(0)]) for name, part in parts.items()}, sizes


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


def _on_device(device: torch.device | str, **parts: Tensor) -> dict[str, Tensor]:
    """Tensors of one type on the device, in one copy that the host does not wait for."""
    together = torch.cat(list(parts.values()))
    if torch.device(device).type == "cuda":
        together = together.pin_memory()
    moved = together.to(device, non_blocking=True)
    pieces = torch.split_with_sizes(moved, [len(part) for part in parts.values()])
    return dict(zip(parts, pieces, strict=True))
