"""What attention layers do in the two passes of the device engine: prefill and decode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ponder.generate.device import reference
from ponder.generate.device.cache import KvCache
from ponder.generate.device.flash import can_flash, flash_varlen
from ponder.generate.device.host import to_device
from ponder.generate.device.latent import latent_of
from ponder.generate.device.launch import EVERYTHING, decode_attention


class DecodePass:
    """One new token for each sequence. All tensors are the slots': read when the step runs."""

    def __init__(
        self,
        cache: KvCache,
        page_table: Tensor,
        prefix: Tensor,
        own: Tensor,
        active: Tensor,
        runs: Tensor,
        splits: int,
    ) -> None:
        self._cache = cache
        self._sequences = (page_table, prefix, own, active)
        self._runs = runs
        self._splits = splits

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        """[N, 1, heads, value_dim]; see ``launch.decode_attention``."""
        latent = latent_of(module)
        if latent is not None:
            query, key, value = latent.absorb(query, key)
        window = EVERYTHING if window is None else window
        if query.is_cuda:
            out: Tensor = decode_attention(
                query,
                key,
                value,
                module.ponder_pages,
                *self._sequences,
                self._runs,
                scale,
                window,
                self._splits,
                value.shape[3],
                latent is not None,
            )
        else:
            rows = self._cache.rows(_layer(module))
            out = reference.decode_attention(
                query, key, value, *rows, *self._sequences, scale, window
            )
        return (out if latent is None else latent.expand_output(out)).transpose(1, 2)


class PrefillPass:
    """Spans of several sequences in one row of tokens, each after what it already has in pages.

    Args:
        write_rows: [N] int64: the cache row of every token of the row.
        read_rows: [K] int64: for each sequence in turn, the cache rows of all its tokens up to and
            with its span.
        query_lengths: tokens of each span; key_lengths: of ``read_rows``.
    """

    def __init__(
        self,
        cache: KvCache,
        write_rows: Tensor,
        read_rows: Tensor,
        query_lengths: Sequence[int],
        key_lengths: Sequence[int],
    ) -> None:
        self._cache = cache
        self._write_rows = write_rows
        self._read_rows = read_rows
        self._query_lengths = list(query_lengths)
        self._key_lengths = list(key_lengths)
        self._query_starts = _starts(query_lengths, write_rows.device)
        self._key_starts = _starts(key_lengths, write_rows.device)

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        """[1, N, heads, value_dim] of query [1, heads, N, key_dim]."""
        keys, values = self._cache.rows(_layer(module))
        latent = latent_of(module)
        if latent is None:
            keys[self._write_rows] = key[0].transpose(0, 1)
            values[self._write_rows] = value[0].transpose(0, 1)
            k, v = keys[self._read_rows], values[self._read_rows]
        else:
            keys[self._write_rows] = latent.of_tokens(key)[0].transpose(0, 1)
            k, v = latent.expand(keys[self._read_rows, 0])
        return self._attend(query[0].transpose(0, 1), k, v, scale, window)[None]

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None
    ) -> Tensor:
        """[N, heads, value_dim] of query [N, heads, key_dim] and all keys [K, kv_heads, .]."""
        if can_flash(query, value):
            starts = (self._query_starts, self._key_starts)
            longest = (max(self._query_lengths), max(self._key_lengths))
            return flash_varlen(query, key, value, starts, longest, scale, window)
        pieces = zip(
            torch.split(query, self._query_lengths),
            torch.split(key, self._key_lengths),
            torch.split(value, self._key_lengths),
            strict=True,
        )
        return torch.cat([_causal(q, k, v, scale, window) for q, k, v in pieces])


def _causal(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
    """Of one sequence: its last len(q) tokens attend to all before them."""
    place = torch.arange(len(k), device=q.device)
    distance = place[len(k) - len(q) :, None] - place
    seen = distance >= 0
    if window is not None:
        seen &= distance < window
    query, key, value = (tensor.transpose(0, 1)[None] for tensor in (q, k, v))
    out = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=seen,
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return out[0].transpose(0, 1)


def _layer(module: nn.Module) -> int:
    layer: Any = module.layer_idx
    return int(layer)


def _starts(lengths: Sequence[int], device: torch.device) -> Tensor:
    """[len(lengths) + 1] int32: where each begins, and the end."""
    return to_device(np.cumsum([0, *lengths], dtype=np.int32), device)
