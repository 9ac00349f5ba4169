"""Pages, and the two ways to attend over them."""

import pytest
import torch

from ponder.generate.attention import attend_by_matmul
from ponder.generate.bags import BagAttention
from ponder.generate.pages import PAGE_TOKENS, PagePool, pages_for

CPU = torch.device("cpu")


def test_pages_for() -> None:
    assert [pages_for(n) for n in (0, 1, 32, 33, 64, 65)] == [0, 1, 1, 2, 2, 3]


def test_pages_are_taken_once_and_come_back() -> None:
    pool = PagePool(5, CPU, torch.float32)
    first, second = pool.take(2), pool.take(3)
    assert sorted(first + second) == [1, 2, 3, 4, 5]  # page 0 is nobody's
    pool.give(first)
    assert pool.num_taken == 3
    assert sorted(pool.take(2)) == sorted(first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_growing_keeps_what_is_there(dtype) -> None:
    pool = PagePool(2, CPU, dtype)
    first = pool.take(2)
    keys, values = pool.layer(0, torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 5))
    assert keys.shape == (3, 3, 4, PAGE_TOKENS)
    assert values.shape == (3, 3, PAGE_TOKENS, 5)
    keys.fill_(7)
    taken = pool.take(9)
    assert len(set(first + taken)) == 11
    keys, values = pool.layer(0, torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 5))
    assert len(keys) == len(values) > max(taken)
    assert keys.dtype == dtype
    assert (keys[:3] == 7).all()
    assert (keys[taken] == 0).all()
    assert (values[taken] == 0).all()


def test_pages_that_come_back_are_not_cleared_again_and_new_ones_are() -> None:
    pool = PagePool(4, CPU, torch.float32)
    keys, values = pool.layer(0, torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2))
    keys.fill_(torch.nan)  # as fresh memory may be
    values.fill_(torch.nan)
    pages = pool.take(2)
    assert not keys[pages].isnan().any()
    keys[pages] = 5
    pool.give(pages)
    assert (keys[pool.take(2)] == 5).all()
    later = pool.take(2)
    assert not keys[later].isnan().any()
    assert not values[later].isnan().any()


@pytest.mark.parametrize(("num_heads", "num_kv_heads"), [(4, 4), (6, 2), (4, 1)])
def test_both_ways_to_attend_are_plain_attention(num_heads, num_kv_heads) -> None:
    torch.manual_seed(0)
    rows, key_dim, value_dim, scale = 5, 8, 12, 0.3
    keys = torch.randn(9, num_kv_heads, key_dim, PAGE_TOKENS)
    values = torch.randn(9, num_kv_heads, PAGE_TOKENS, value_dim)
    table = torch.randint(0, 9, (rows, 3))
    query = torch.randn(rows, num_heads, key_dim)
    seen = torch.rand(rows, 3 * PAGE_TOKENS) < 0.5
    seen[:, 0] = True
    bias = torch.zeros(rows, 1, 3 * PAGE_TOKENS).masked_fill_(~seen.unsqueeze(1), -torch.inf)
    expected = torch.empty(rows, num_heads, value_dim)
    for row in range(rows):
        for head in range(num_heads):
            kv_head = head // (num_heads // num_kv_heads)
            k = torch.cat([keys[page, kv_head] for page in table[row]], dim=1)[:, seen[row]]
            v = torch.cat([values[page, kv_head] for page in table[row]])[seen[row]]
            expected[row, head] = (query[row, head] @ k * scale).softmax(-1) @ v
    out = attend_by_matmul(query, keys, values, table, bias, scale)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    bags = BagAttention(table, num_heads, keys)
    out = bags.attend(query, keys, values, bias, scale)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
