"""The attention of the local engine: transformers' modules call it, it reads and writes pages.

It is registered with transformers' attention interface under ``ENGINE`` and gets, as the keyword
argument ``engine_pass``, the pass (a prefill, or a decode step) that the call is part of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel

from ponder.errors import PonderError
from ponder.generate.pages import PAGE_TOKENS, PagePool

ENGINE = "ponder_engine"


class EnginePass(Protocol):
    """One forward pass of the model as attention sees it."""

    longest: int
    """Tokens of the longest sequence that this run may reach."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Store ``key`` and ``value`` [B, kv_heads, T, D]; attend ``query`` [B, heads, T, D].

        Returns [B, T, heads, value_dim].
        """
        ...


def _engine_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    engine_pass: EnginePass,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The signature that transformers asks for. What it can't honour is an error."""
    windowed = sliding_window is not None and sliding_window < engine_pass.longest
    if windowed or softcap is not None or s_aux is not None:
        raise PonderError(
            "model",
            type(module).__name__,
            "the local engine has no sliding windows (shorter than the sequences), soft-capped "
            "scores or attention sinks: use a model without them or another generator",
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer = module.layer_idx
    assert isinstance(layer, int)
    return engine_pass.attend(layer, query, key, value, scale), None


AttentionInterface.register(ENGINE, _engine_attention)


@contextmanager
def engine_mode(model: PreTrainedModel) -> Iterator[None]:
    """Inside, ``model`` is in eval mode and attends through the engine; after, it is as before."""
    attention, training = model.config._attn_implementation, model.training
    model.eval()
    model.set_attn_implementation(ENGINE)
    if model.config._attn_implementation != ENGINE:
        raise PonderError(
            "model",
            model.config.model_type,
            "this architecture does not use transformers' attention interface, which the local "
            "engine needs: use another generator",
        )
    try:
        yield
    finally:
        model.set_attn_implementation(attention)
        model.train(training)


class PrefillPass:
    """Prompts of similar length, side by side from the left: their keys and values go to pages.

    Args:
        pages: [B, T / PAGE_TOKENS] int64: the page of each block of tokens. Page 0 for padding.
        prefix: pages of tokens that come before all of these prompts, already computed.
    """

    def __init__(self, pool: PagePool, pages: Tensor, prefix: list[int], longest: int) -> None:
        self.longest = longest
        self._pool = pool
        self._pages = pages.reshape(-1)
        self._prefix = torch.tensor(prefix, device=pool.device, dtype=torch.long)
        num_tokens = pages.shape[1] * PAGE_TOKENS
        size = (num_tokens, len(prefix) * PAGE_TOKENS + num_tokens)
        visible = torch.ones(size, dtype=torch.bool, device=pool.device)
        self._visible = visible.tril(size[1] - size[0]) if prefix else None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        keys, values = self._pool.layer(layer, key, value)
        size, heads, _, key_dim = key.shape
        blocks = key.reshape(size, heads, -1, PAGE_TOKENS, key_dim)
        keys[self._pages] = blocks.permute(0, 2, 1, 4, 3).flatten(0, 1)
        blocks = value.reshape(size, heads, -1, PAGE_TOKENS, value.shape[3])
        values[self._pages] = blocks.transpose(1, 2).flatten(0, 1)
        if self._visible is not None:
            before = keys[self._prefix].permute(1, 0, 3, 2).flatten(1, 2).expand(size, -1, -1, -1)
            key = torch.cat([before, key], dim=2)
            before = values[self._prefix].transpose(0, 1).flatten(1, 2).expand(size, -1, -1, -1)
            value = torch.cat([before, value], dim=2)
        out = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=self._visible,
            is_causal=self._visible is None,
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out.transpose(1, 2)


def attend_by_matmul(
    query: Tensor, keys: Tensor, values: Tensor, page_table: Tensor, bias: Tensor, scale: float
) -> Tensor:
    """Attention of one query per sequence over its pages, in plain batched products.

    Args:
        query: [N, heads, D].
        keys: [pages, kv_heads, D, PAGE_TOKENS].
        values: [pages, kv_heads, PAGE_TOKENS, E].
        page_table: [N, C] int64.
        bias: [N, 1, C * PAGE_TOKENS] float32, added to the scaled scores.

    Returns:
        [N, heads, E] of the dtype of ``query``.
    """
    num_rows, num_heads, _ = query.shape
    grouped = query.view(num_rows, 1, keys.shape[1], -1, query.shape[-1])
    scores = (grouped @ keys[page_table]).permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)
    weights = (scores.float() * scale + bias).softmax(-1).to(query.dtype)
    paged = weights.view(num_rows, keys.shape[1], -1, page_table.shape[1], PAGE_TOKENS)
    out = (paged.permute(0, 3, 1, 2, 4) @ values[page_table]).sum(1)
    return out.reshape(num_rows, num_heads, -1)


class BagAttention:
    """``attend_by_matmul`` for float32 on a CPU, as two weighted sums of table rows.

    A batched product with one query per sequence costs a CPU more in calls than in work.
    ``torch.embedding_bag`` with weights reads each key and value once, in place, at the speed of
    memory, and shared pages stay in the cache. Scores of a page: its D rows of PAGE_TOKENS keys,
    weighted by the query. Output of a sequence: its rows of values, weighted by the softmax.

    Args:
        page_table: [N, C] int64.
        num_heads: of the query.
        keys: any layer's keys, for the shape. values: the same.
    """

    def __init__(self, page_table: Tensor, num_heads: int, keys: Tensor, values: Tensor) -> None:
        num_kv_heads, key_dim = keys.shape[1:3]
        self._num_pages = page_table.shape[1]
        kv_head = torch.arange(num_heads) // (num_heads // num_kv_heads)
        blocks = page_table.unsqueeze(1) * num_kv_heads + kv_head.unsqueeze(-1)  # [N, heads, C]
        self._key_rows = _rows(blocks, key_dim)
        self._value_rows = _rows(blocks, PAGE_TOKENS)
        self._key_starts = _starts(self._key_rows, key_dim)
        self._value_starts = _starts(self._value_rows, PAGE_TOKENS * self._num_pages)

    def __call__(
        self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scale: float
    ) -> Tensor:
        num_rows, num_heads, _ = query.shape
        repeated = query.unsqueeze(2).expand(-1, -1, self._num_pages, -1).reshape(-1)
        table = keys.view(-1, PAGE_TOKENS)
        scores = _bags(table, self._key_rows, self._key_starts, repeated)
        scores = torch.add(bias, scores.view(num_rows, num_heads, -1), alpha=scale)
        weights = scores.softmax(-1).view(-1)
        table = values.view(-1, values.shape[-1])
        out = _bags(table, self._value_rows, self._value_starts, weights)
        return out.view(num_rows, num_heads, -1)


def _rows(blocks: Tensor, rows_per_block: int) -> Tensor:
    """All row numbers of the given blocks of rows, in order, as one int32 list."""
    rows = blocks.unsqueeze(-1) * rows_per_block + torch.arange(rows_per_block)
    return rows.reshape(-1).int()


def _starts(rows: Tensor, bag_size: int) -> Tensor:
    return torch.arange(0, len(rows) + 1, bag_size, dtype=torch.int32)


def _bags(table: Tensor, rows: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Sum of ``weights[i] * table[rows[i]]`` over each bag: [bags, table.shape[1]]."""
    return torch.embedding_bag(table, rows, starts, False, 0, False, weights, True)[0]
