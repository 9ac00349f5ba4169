"""Attention in two merged varlen halves against the bucketed one, in float64 on the CPU."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from ponder.models.flash import flash_attention, packed_flash
from ponder.models.packed_attention import packed_attention
from ponder.models.packed_layout import PackedLayout
from ponder.models.varlen import Bounds, attend, attend_backward

BATCHES = {
    "ragged": ([5, 1, 17, 9], [3, 30, 1, 8, 8, 21, 2, 13, 40, 5, 1, 16]),
    "nothing shared": ([6, 4, 9], [7]),
    "one sequence": ([4], [12]),
    "prompts only": ([4, 3], [1, 1, 1]),
}


def make_layout(prompt_lengths: list[int], completion_lengths: list[int]) -> PackedLayout:
    numbers = random.Random(1)
    prompts = [[1] * n for n in prompt_lengths]
    completions = [[1] * n for n in completion_lengths]
    return PackedLayout.build(
        prompts, completions, [numbers.randrange(len(prompts)) for _ in completions]
    )


def leaves(num_tokens: int, kv_heads: int = 2) -> list[Tensor]:
    torch.manual_seed(0)
    shapes = [(num_tokens, 4, 8), (num_tokens, kv_heads, 8), (num_tokens, kv_heads, 8)]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("name", BATCHES)
def test_equals_the_bucketed_attention(name: str, kv_heads: int) -> None:
    layout = make_layout(*BATCHES[name])
    qkv = leaves(layout.token_ids.shape[1], kv_heads)
    ours = flash_attention(*qkv, layout.cuts, 0.3)
    expected = packed_attention(*qkv, layout.buckets, 0.3)
    assert torch.allclose(ours, expected, atol=1e-12)
    signal = torch.randn_like(expected)
    grads = torch.autograd.grad(ours, qkv, signal)
    for grad, reference in zip(grads, torch.autograd.grad(expected, qkv, signal), strict=True):
        assert torch.allclose(grad, reference, atol=1e-12)


def test_the_ragged_batch_has_all_kinds_of_segments() -> None:
    layout = make_layout(*BATCHES["ragged"])
    assert (layout.segments[:, 3] > 0).sum() > 3
    num_keys, end = layout.cuts.sizes.tolist()[3:]
    assert 0 < num_keys < end <= layout.token_ids.shape[1]


def test_the_operator_fits_autograd_and_tracing() -> None:
    layout = make_layout(*BATCHES["ragged"])
    qkv = leaves(layout.token_ids.shape[1])
    torch.library.opcheck(packed_flash, (*qkv, *layout.cuts, 0.3))
    # As transformers hands them over: views of [1, heads, N, D].
    views = [t.detach().transpose(0, 1).contiguous().transpose(0, 1) for t in qkv]
    views = [view.requires_grad_() for view in views]
    torch.library.opcheck(packed_flash, (*views, *layout.cuts, 0.3))


def test_one_call_by_hand() -> None:
    # Two queries over keys with scores 0 and ln 3 (causal: the first sees the first key only).
    query, value = torch.ones(2, 1, 1), torch.tensor([[[1.0]], [[5.0]]])
    key = torch.tensor([1.0, 3.0]).log()[:, None, None]
    cu = torch.tensor([0, 2], dtype=torch.int32)
    out, lse = attend(query, key, value, Bounds(cu, cu, 2, 2, True), 1.0)
    assert out.flatten().tolist() == pytest.approx([1.0, 0.25 * 1 + 0.75 * 5])
    assert lse.flatten().tolist() == pytest.approx([0.0, 1.3862944])  # ln 1, ln 4
    out, _ = attend(query, key, value, Bounds(cu, cu, 2, 2, False), 1.0)
    assert out.flatten().tolist() == pytest.approx([4.0, 4.0])


def test_a_single_call_has_the_gradient_of_autograd() -> None:
    query, key, value = leaves(9)
    cu_q = torch.tensor([0, 4, 9], dtype=torch.int32)
    cu_k = torch.tensor([0, 6, 9], dtype=torch.int32)
    bounds = Bounds(cu_q, cu_k, 5, 6, False)
    out, lse = attend(query, key, value, bounds, 0.4)
    signal = torch.randn_like(out)
    expected = torch.autograd.grad(out, (query, key, value), signal)
    with torch.no_grad():
        grads = attend_backward(signal, query, key, value, out, lse, bounds, 0.4)
    for grad, reference in zip(grads, expected, strict=True):
        assert torch.allclose(grad, reference, atol=1e-12)
