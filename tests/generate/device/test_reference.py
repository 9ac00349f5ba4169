"""The clear decode attention against torch's own, one sequence at a time."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ponder.generate.device.launch import EVERYTHING
from ponder.generate.device.reference import decode_attention
from ponder.generate.pages import PAGE_TOKENS, pages_for

LENGTHS = [(0, 0), (0, 5), (31, 0), (32, 32), (33, 31), (64, 65), (5, 100)]
"""Cached tokens of the prompt, and of the sequence's own."""


def history(seed: int, kv_heads: int, key_dim: int, value_dim: int):
    """Pages at random with nan where nobody wrote; and each sequence's keys and values."""
    torch.manual_seed(seed)
    num_pages = 1 + sum(pages_for(prefix) + pages_for(own + 1) for prefix, own in LENGTHS)
    keys = torch.full((num_pages * PAGE_TOKENS, kv_heads, key_dim), torch.nan)
    values = torch.full((num_pages * PAGE_TOKENS, kv_heads, value_dim), torch.nan)
    numbers = list(range(1, num_pages))
    random.Random(seed).shuffle(numbers)
    table = torch.zeros(len(LENGTHS) + 2, 10, dtype=torch.int32)
    sequences = []
    for row, (prefix, own) in enumerate(LENGTHS):
        pages = [numbers.pop() for _ in range(pages_for(prefix) + pages_for(own + 1))]
        table[row, : len(pages)] = torch.tensor(pages)
        columns = [*range(prefix), *(pages_for(prefix) * PAGE_TOKENS + n for n in range(own))]
        places = [pages[c // PAGE_TOKENS] * PAGE_TOKENS + c % PAGE_TOKENS for c in columns]
        k, v = (
            torch.randn(len(places), kv_heads, key_dim),
            torch.randn(len(places), kv_heads, value_dim),
        )
        keys[places], values[places] = k, v
        sequences.append((k, v))
    return keys, values, table, sequences


@pytest.mark.parametrize("window", [EVERYTHING, 1, 20, 33])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (3, 1)])
def test_against_torch(heads: int, kv_heads: int, window: int) -> None:
    key_dim, value_dim, count = 8, 6, len(LENGTHS)
    keys, values, table, sequences = history(0, kv_heads, key_dim, value_dim)
    query = torch.randn(count, heads, 1, key_dim)
    key, value = (
        torch.randn(count, kv_heads, 1, key_dim),
        torch.randn(count, kv_heads, 1, value_dim),
    )
    prefix, own = (torch.tensor((*column, 9, 9)) for column in zip(*LENGTHS, strict=True))
    active = torch.tensor([1] * count + [0, 0])
    out = decode_attention(query, key, value, keys, values, table, prefix, own, active, 0.3, window)
    for row, (before, before_values) in enumerate(sequences):
        all_keys = torch.cat([before, key[row].transpose(0, 1)])[-window:]
        all_values = torch.cat([before_values, value[row].transpose(0, 1)])[-window:]
        expected = attend(query[row], all_keys, all_values, 0.3)
        torch.testing.assert_close(out[row], expected)


def attend(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """[heads, 1, value_dim] of query [heads, 1, D] and keys [T, kv_heads, D]."""
    return F.scaled_dot_product_attention(
        query[None], keys.transpose(0, 1)[None], values.transpose(0, 1)[None], scale=scale,
        enable_gqa=True,
    )[0]  # fmt: skip


def test_rows_that_are_over_write_nothing() -> None:
    keys, values, table, _ = history(1, 2, 8, 6)
    count = len(LENGTHS)
    prefix, own = (torch.tensor(column) for column in zip(*LENGTHS, strict=True))
    key, value = torch.randn(count, 2, 1, 8), torch.randn(count, 2, 1, 6)
    before = keys.clone(), values.clone()
    active = torch.zeros(count, dtype=torch.int64)
    own = own + 1000  # past the table: of a row that is over nobody cares
    decode_attention(
        torch.randn(count, 4, 1, 8), key, value, keys, values, table, prefix, own, active, 1.0,
        EVERYTHING,
    )  # fmt: skip
    assert torch.equal(keys.nan_to_num(), before[0].nan_to_num())
    assert torch.equal(values.nan_to_num(), before[1].nan_to_num())
