"""Decode attention for float32 on a CPU, as weighted sums of table rows."""

from __future__ import annotations

import torch
from torch import Tensor

from ponder.generate.pages import PAGE_TOKENS


class BagAttention:
    """Attention of one query per sequence: what ``attend_by_matmul`` computes, faster on a CPU.

    A batched product with one query per sequence costs a CPU more in calls than in work.
    ``torch.embedding_bag`` with weights reads each key and value once, in place, at the speed of
    memory, and the pages of a group's prompt stay in the cache. The scores of a page are its D rows
    of PAGE_TOKENS keys, weighted by the query; the output of a sequence is its rows of values,
    weighted by the softmax. (Products per group or per shared prefix were no faster: docs/log.md.)

    Args:
        page_table: [N, C] int64.
        num_heads: of the query.
        keys: any layer's keys [pages, kv_heads, D, PAGE_TOKENS], for the shape.
    """

    def __init__(self, page_table: Tensor, num_heads: int, keys: Tensor) -> None:
        num_kv_heads, key_dim = keys.shape[1:3]
        self._num_pages = page_table.shape[1]
        kv_head = torch.arange(num_heads) // (num_heads // num_kv_heads)
        blocks = page_table.unsqueeze(1) * num_kv_heads + kv_head.unsqueeze(-1)  # [N, heads, C]
        self._key_rows = _rows(blocks, key_dim)
        self._value_rows = _rows(blocks, PAGE_TOKENS)
        self._key_starts = _starts(self._key_rows, key_dim)
        self._value_starts = _starts(self._value_rows, PAGE_TOKENS * self._num_pages)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Unscaled: [N, heads, C * PAGE_TOKENS] of ``query`` [N, heads, D]."""
        repeated = query.unsqueeze(2).expand(-1, -1, self._num_pages, -1).reshape(-1)
        table = keys.view(-1, PAGE_TOKENS)
        return _bags(table, self._key_rows, self._key_starts, repeated).view(*query.shape[:2], -1)

    def mix(self, weights: Tensor, values: Tensor) -> Tensor:
        """[N, heads, E] of ``weights`` [N, heads, C * PAGE_TOKENS] and values of width E."""
        table = values.view(-1, values.shape[-1])
        out = _bags(table, self._value_rows, self._value_starts, weights.reshape(-1))
        return out.view(*weights.shape[:2], -1)

    def attend(
        self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scale: float
    ) -> Tensor:
        """[N, heads, E]; ``bias`` [N, 1, C * PAGE_TOKENS] is added to the scaled scores."""
        scores = torch.add(bias, self.scores(query, keys), alpha=scale)
        return self.mix(scores.softmax(-1), values)


def _rows(blocks: Tensor, rows_per_block: int) -> Tensor:
    """All row numbers of the given blocks of rows, in order, as one int32 list."""
    rows = blocks.unsqueeze(-1) * rows_per_block + torch.arange(rows_per_block)
    return rows.reshape(-1).int()


def _starts(rows: Tensor, bag_size: int) -> Tensor:
    return torch.arange(0, len(rows) + 1, bag_size, dtype=torch.int32)


def _bags(table: Tensor, rows: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Sum of ``weights[i] * table[rows[i]]`` over each bag: [bags, table.shape[1]]."""
    return torch.embedding_bag(table, rows, starts, False, 0, False, weights, True)[0]
