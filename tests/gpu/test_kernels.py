"""The engine's kernels on CUDA against their clear versions."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ponder.generate.device import reference
from ponder.generate.device.cache import KvCache, KvLayout
from ponder.generate.device.draw import draw_by_kernels
from ponder.generate.device.launch import EVERYTHING, decode_attention
from ponder.generate.device.slots import _runs
from ponder.generate.pages import PAGE_TOKENS, pages_for
from ponder.generate.sampling import draw
from ponder.types import Sampling

pytestmark = pytest.mark.gpu

DEVICE = "cuda"
SIZES = [
    # heads, kv_heads, key_dim, value_dim
    (4, 4, 64, 64),
    (4, 2, 64, 64),
    (9, 3, 64, 64),
    (12, 2, 128, 128),
    (7, 1, 80, 80),
    (8, 1, 96, 96),
    (16, 1, 128, 128),
    (4, 1, 256, 256),
    (32, 1, 64, 64),  # more query heads than a block
    (4, 2, 24, 16),
]
LATENT_SIZES = [(16, 1, 80, 64), (4, 1, 20, 12), (40, 1, 40, 32)]
GROUPS = [(1, 5), (8, 65), (1, 0), (3, 32), (11, 300), (2, 1), (1, 64)]
"""Sequences that share a prompt, and its cached tokens."""
OWNS = [0, 1, 31, 32, 33, 100, 511]


@dataclass
class State:
    """Sequences in pages at random; nan where nobody wrote."""

    cache: KvCache
    table: Tensor
    prefix: Tensor
    own: Tensor
    active: Tensor
    runs: Tensor

    @property
    def lengths(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.prefix, self.own, self.active


def make_state(layout: KvLayout, dtype: torch.dtype, groups=GROUPS, owns=OWNS) -> State:
    rng = random.Random(0)
    torch.manual_seed(0)
    rows = [(name, prefix) for name, (count, prefix) in enumerate(groups) for _ in range(count)]
    own = [rng.choice(owns) for _ in rows]
    num_pages = sum(pages_for(prefix) for _, prefix in groups)
    num_pages += sum(pages_for(length + 1) for length in own)
    cache = KvCache([layout], torch.zeros(1, 2, dtype=torch.int64, device=DEVICE), dtype)
    cache.allocate(num_pages)
    for tensor in (cache.keys[0], cache.values[0]):
        tensor.fill_(torch.nan)
    numbers = list(range(1, num_pages + 1))
    rng.shuffle(numbers)
    shared = [[numbers.pop() for _ in range(pages_for(prefix))] for _, prefix in groups]
    width = max(pages_for(prefix) for _, prefix in groups) + pages_for(max(owns) + 1) + 3
    table = torch.zeros(len(rows) + 5, width, dtype=torch.int32)
    for row, (name, prefix) in enumerate(rows):
        pages = shared[name] + [numbers.pop() for _ in range(pages_for(own[row] + 1))]
        table[row, : len(pages)] = torch.tensor(pages)
        columns = [*range(prefix), *(pages_for(prefix) * PAGE_TOKENS + n for n in range(own[row]))]
        places = torch.tensor([pages[c // 32] * 32 + c % 32 for c in columns], dtype=torch.int64)
        keys, values = cache.rows(0)
        keys[places.to(DEVICE)] = new((len(columns), *keys.shape[1:]), dtype)
        if not layout.is_latent:
            values[places.to(DEVICE)] = new((len(columns), *values.shape[1:]), dtype)
    names = [name if prefix else 1000 + row for row, (name, prefix) in enumerate(rows)]
    active = [int(rng.random() > 0.2) for _ in rows]
    active[1] = 0  # the first of a run
    more = [0] * 5
    tensors = [
        torch.tensor(column + more, device=DEVICE)
        for column in ([prefix for _, prefix in rows], own, active, _runs(names))
    ]
    return State(cache, table.to(DEVICE), *tensors)


def new(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(shape).to(DEVICE, dtype)


def check(state: State, layout: KvLayout, heads: int, splits: int, window: int) -> None:
    """Output of the active rows and everything in the cache are those of the reference."""
    dtype, rows = state.cache.dtype, len(state.table) - 5
    query = new((rows, 1, heads, layout.key_dim), dtype).transpose(1, 2)
    key = new((rows, 1, layout.kv_heads, layout.key_dim), dtype).transpose(1, 2)
    value = new((rows, 1, layout.kv_heads, layout.value_dim), dtype).transpose(1, 2)
    if layout.is_latent:
        value = key[..., : layout.value_dim]
    scale = layout.key_dim**-0.5
    keys, values = (tensor.float().clone() for tensor in state.cache.rows(0))
    if layout.is_latent:
        values = keys[..., : layout.value_dim]
    expected = reference.decode_attention(
        query.float(), key.float(), value.float(), keys, values, state.table, *state.lengths,
        scale, window,
    )  # fmt: skip
    found = decode_attention(
        query, key, value, state.cache.pointers[0], state.table, *state.lengths, state.runs,
        scale, window, splits, layout.value_dim, layout.is_latent,
    )  # fmt: skip
    is_active = state.active[:rows].bool()
    tolerance = 1e-5 if dtype is torch.float32 else 1e-2
    torch.testing.assert_close(
        found[is_active].float(), expected[is_active], atol=tolerance, rtol=tolerance
    )
    for ours, theirs in zip(state.cache.rows(0), (keys, values), strict=True):
        assert torch.equal(ours.float().nan_to_num(7.0), theirs.nan_to_num(7.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("splits", [1, 4, 16])
@pytest.mark.parametrize(("heads", "kv_heads", "key_dim", "value_dim"), SIZES)
def test_decode_attention(heads, kv_heads, key_dim, value_dim, splits, dtype) -> None:
    layout = KvLayout(kv_heads, key_dim, value_dim)
    state = make_state(layout, dtype)
    check(state, layout, heads, splits, EVERYTHING)
    state.runs.fill_(1)  # nobody shares
    check(state, layout, heads, splits, EVERYTHING)


@pytest.mark.parametrize("group", range(1, 17))
def test_any_number_of_heads_per_key_head(group: int) -> None:
    layout = KvLayout(2, 64, 64)
    check(make_state(layout, torch.bfloat16), layout, 2 * group, 2, EVERYTHING)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("splits", [1, 2, 8])
@pytest.mark.parametrize("window", [1, 20, 32, 33, 200, 500])
def test_windows(window: int, splits: int, dtype: torch.dtype) -> None:
    layout = KvLayout(2, 64, 64)
    check(make_state(layout, dtype), layout, 4, splits, window)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("splits", [1, 4, 16])
@pytest.mark.parametrize(("heads", "kv_heads", "key_dim", "value_dim"), LATENT_SIZES)
def test_latents(heads, kv_heads, key_dim, value_dim, splits, dtype) -> None:
    layout = KvLayout(kv_heads, key_dim, value_dim, is_latent=True)
    check(make_state(layout, dtype), layout, heads, splits, EVERYTHING)


def test_latents_of_deepseek_v3() -> None:
    layout = KvLayout(1, 576, 512, is_latent=True)
    state = make_state(layout, torch.bfloat16, [(1, 5), (2, 65), (1, 0)], [0, 40, 600])
    check(state, layout, 128, 4, EVERYTHING)


@pytest.mark.parametrize("splits", [2, 4, 8, 16])
@pytest.mark.parametrize("own", [8 * 32 - 1, 81 * 32 - 5, 90 * 32, 129 * 32 - 3, 131 * 32, 20_001])
def test_long_sequences_are_cut_into_parts_that_are_not_empty(own: int, splits: int) -> None:
    layout = KvLayout(1, 64, 64)
    state = make_state(layout, torch.float32, [(1, 40), (3, 3000), (1, 0)], [own])
    state.active[:5] = 1
    check(state, layout, 4, splits, EVERYTHING)
    state.runs.fill_(1)
    check(state, layout, 4, splits, EVERYTHING)


def uniform(count: int, seed: int = 0) -> Tensor:
    numbers = torch.randint(0, 2**24, (count,), generator=torch.Generator().manual_seed(seed))
    return (numbers.float() * 2.0**-24).to(DEVICE)


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("size", [1, 258, 1000, 1024, 1025, 5003, 151_936])
def test_drawing(size: int, temperature: float) -> None:
    torch.manual_seed(0)
    logits = (3 * torch.randn(500, size)).to(DEVICE)
    tokens, logprobs = draw_by_kernels(logits, uniform(500), Sampling(temperature))
    expected, expected_logprobs = draw(logits, uniform(500), Sampling(temperature))
    same = tokens == expected
    assert same.float().mean() > 0.98  # rounding moves a few to their neighbours
    torch.testing.assert_close(logprobs[same], expected_logprobs[same], atol=1e-4, rtol=1e-5)
    exact = (logits / temperature).log_softmax(-1).gather(1, tokens[:, None])[:, 0]
    torch.testing.assert_close(logprobs, exact, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("size", [1025, 5003])
def test_tokens_that_cannot_be_are_never_drawn(size: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(400, size)
    logits[:, torch.rand(size) < 0.5] = -torch.inf
    logits[:, :1024] = -torch.inf  # a whole block
    logits[:, -1] = 0.0
    numbers = torch.cat([uniform(398), torch.tensor([0.0, 1 - 2.0**-24], device=DEVICE)])
    tokens, logprobs = draw_by_kernels(logits.to(DEVICE), numbers, Sampling())
    assert logits.gather(1, tokens.cpu()[:, None]).isfinite().all()
    exact = logits.log_softmax(-1).gather(1, tokens.cpu()[:, None])[:, 0]
    torch.testing.assert_close(logprobs.cpu(), exact, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2.0**-24])
def test_extreme_logits(number: float) -> None:
    logits = torch.zeros(5, 3000)
    logits[0, 1234] = 1e4
    logits[1] = -1e4
    logits[2, 2999] = 1e30
    logits[3, :2999] = -torch.inf
    logits[4] = torch.nan
    numbers = torch.full((5,), number, device=DEVICE)
    tokens, logprobs = draw_by_kernels(logits.to(DEVICE), numbers, Sampling())
    assert tokens[[0, 2, 3]].tolist() == [1234, 2999, 2999]
    assert abs(tokens[1].item() - number * 3000) < 2
    assert 0 <= tokens[4].item() < 3000
    assert logprobs[[0, 2, 3]].tolist() == [0.0, 0.0, 0.0]


def test_tokens_come_as_often_as_they_should() -> None:
    torch.manual_seed(0)
    row = 2 * torch.randn(3000)
    draws = 400_000
    counts = torch.zeros(3000)
    for seed in range(20):
        logits = row.to(DEVICE).expand(draws // 20, -1).contiguous()
        tokens, _ = draw_by_kernels(logits, uniform(draws // 20, seed), Sampling(0.8))
        counts += torch.bincount(tokens.cpu(), minlength=3000)
    probs = (row / 0.8).softmax(-1)
    often = probs > 1e-4
    errors = (counts - draws * probs) / (draws * probs * (1 - probs)).sqrt()
    assert errors[often].abs().max() < 5.5
    assert 0.9 < errors[often].var() < 1.1


@pytest.mark.parametrize(("top_p", "top_k"), [(0.95, 0), (0.5, 0), (1.0, 20), (1.0, 1), (0.8, 50)])
@pytest.mark.parametrize("size", [258, 5003])
def test_drawing_from_the_likely_ones(size: int, top_p: float, top_k: int) -> None:
    torch.manual_seed(0)
    logits = (3 * torch.randn(300, size)).to(DEVICE)
    sampling = Sampling(0.7, top_p, top_k)
    tokens, logprobs = draw_by_kernels(logits, uniform(300), sampling)
    expected, expected_logprobs = draw(logits, uniform(300), sampling)
    same = tokens == expected
    assert same.float().mean() > 0.98
    torch.testing.assert_close(logprobs[same], expected_logprobs[same], atol=1e-4, rtol=1e-5)
