"""Attention's kernels where the GPU's tests do not look: on a CPU under TRITON_INTERPRET."""

from __future__ import annotations

import importlib.util
import os
import random

import pytest
import torch
from torch import Tensor

from ponder.generate.device import reference
from ponder.generate.device.cache import KvCache, KvLayout
from ponder.generate.device.launch import EVERYTHING, decode_attention
from ponder.generate.device.slots import _runs
from ponder.generate.pages import pages_for

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    not (torch.cuda.is_available() or (INTERPRETED and importlib.util.find_spec("triton"))),
    reason="needs CUDA, or triton and TRITON_INTERPRET=1",
)
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float16
GROUPS = [(1, 5), (3, 65), (1, 0), (2, 32)]
"""Sequences that share a prompt, and its cached tokens."""


def angles(rows: int, dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """[rows, 1, 1, dim] each: the cosines and sines of each row, halves alike."""
    angle = torch.rand(rows, 1, 1, dim // 2).repeat(1, 1, 1, 2) * 6
    return angle.cos().to(DEVICE, dtype), angle.sin().to(DEVICE, dtype)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


@pytest.mark.parametrize("dtype", [torch.float32, DTYPE])
@pytest.mark.parametrize("window", [EVERYTHING, 1, 20, 33])
@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(6, 2, 16), (3, 1, 24), (3, 3, 16)])
@pytest.mark.parametrize("splits", [1, 4])
def test_rotated_inside(heads, kv_heads, dim, window, splits, dtype) -> None:
    torch.manual_seed(0)
    rng = random.Random(0)
    rows = [(name, prefix) for name, (count, prefix) in enumerate(GROUPS) for _ in range(count)]
    owns = [rng.choice([0, 1, 31, 33, 300 if splits > 1 else 40]) for _ in rows]
    names = [name if prefix else 100 + row for row, (name, prefix) in enumerate(rows)]
    shared = [pages_for(prefix) for _, prefix in GROUPS]
    num_pages = sum(shared) + sum(pages_for(own + 1) for own in owns)
    numbers = list(range(1, num_pages + 1))
    cache = KvCache([KvLayout(kv_heads, dim, dim)], torch.zeros(1, 2).long().to(DEVICE), dtype)
    cache.allocate(num_pages)
    for tensor in (cache.keys[0], cache.values[0]):
        tensor.copy_(torch.randn(tensor.shape))
    of_group = [[numbers.pop() for _ in range(count)] for count in shared]
    table = torch.zeros(len(rows), 20, dtype=torch.int32)
    for row, (name, _) in enumerate(rows):
        pages = of_group[name] + [numbers.pop() for _ in range(pages_for(owns[row] + 1))]
        table[row, : len(pages)] = torch.tensor(pages)
    prefix = torch.tensor([prefix for _, prefix in rows])
    columns = (table, prefix, torch.tensor(owns), torch.ones(len(rows)).long())
    runs = torch.tensor(_runs(names))
    columns = [column.to(DEVICE) for column in (*columns, runs)]
    count = len(rows)
    whole = torch.randn(count, 1, (heads + 2 * kv_heads) * dim).to(DEVICE, dtype)
    sizes = [heads * dim, kv_heads * dim, kv_heads * dim]
    query, key, value = (x.view(count, 1, -1, dim).transpose(1, 2) for x in whole.split(sizes, -1))
    cos, sin = angles(count, dim, dtype)
    turned = [rotated(x.float(), cos.float(), sin.float()) for x in (query, key)]
    keys, values = (tensor.float().clone() for tensor in cache.rows(0))
    expected = reference.decode_attention(
        *turned, value.float(), keys, values, *columns[:4], dim**-0.5, window
    )
    found = decode_attention(
        query,
        key,
        value,
        cache.pointers[0],
        *columns,
        dim**-0.5,
        window,
        splits,
        dim,
        False,
        cos,
        sin,
    )
    tolerance = 1e-5 if dtype is torch.float32 else 1e-2
    torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=tolerance)
    for ours, theirs in zip(cache.rows(0), (keys, values), strict=True):
        torch.testing.assert_close(ours.float(), theirs, atol=tolerance, rtol=tolerance)
