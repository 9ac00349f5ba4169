"""The trainer's fast paths on CUDA against the clear ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from ponder.algo import chunked_logprobs
from ponder.models import packed, varlen
from ponder.models.compiled import compile_layers, uncompile_layers
from ponder.models.flash import flash_attention
from ponder.models.packed import completion_logprobs
from ponder.models.packed_attention import packed_attention
from ponder.models.packed_layout import PackedLayout

pytestmark = pytest.mark.gpu

VOCAB = 1000
Batch = tuple[list[list[int]], list[list[int]], list[int]]


def make_batch(prompt_lengths: list[int], lengths: list[int], index: list[int]) -> Batch:
    torch.manual_seed(0)
    prompts = [torch.randint(VOCAB, (n,)).tolist() for n in prompt_lengths]
    return prompts, [torch.randint(VOCAB, (n,)).tolist() for n in lengths], index


BATCHES = {
    "groups": make_batch([37, 50], [90, 130, 5, 1, 64, 200], [0, 0, 0, 1, 1, 1]),
    "mixed": make_batch([37, 50, 3], [90, 130, 300, 7], [0, 0, 1, 2]),
    "one query": make_batch([5], [2, 2], [0, 0]),
    "long": make_batch([100], [5000], [0]),
}


def error(ours: Tensor, exact: Tensor) -> float:
    return float((ours.double() - exact.double()).norm() / exact.double().norm())


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("name", BATCHES)
def test_flash_attention(name: str, kv_heads: int, size: int) -> None:
    layout = PackedLayout.build(*BATCHES[name], device="cuda")
    num = layout.token_ids.shape[1]
    torch.manual_seed(0)
    qkv = [torch.randn(num, heads, size, device="cuda") for heads in (4, kv_heads, kv_heads)]
    qkv = [t.bfloat16().requires_grad_() for t in qkv]
    wide = [t.detach().float().requires_grad_() for t in qkv]
    ours = flash_attention(*qkv, layout.cuts, 0.1)
    exact = packed_attention(*wide, layout.buckets, 0.1)
    signal = torch.randn_like(exact).bfloat16()
    assert error(ours, exact) < 5e-3
    grads = torch.autograd.grad(ours, qkv, signal)
    references = torch.autograd.grad(exact, wide, signal.float())
    for grad, reference in zip(grads, references, strict=True):
        assert error(grad, reference) < 1e-2


def test_cudnn_and_flash_agree_on_a_long_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = PackedLayout.build(*BATCHES["long"], device="cuda")
    num = layout.token_ids.shape[1]
    assert num >= varlen.CUDNN_FROM > 0
    torch.manual_seed(0)
    qkv = [torch.randn(num, h, 128, device="cuda").bfloat16().requires_grad_() for h in (4, 2, 2)]
    results = []
    for start in (varlen.CUDNN_FROM, 0):
        monkeypatch.setattr(varlen, "CUDNN_FROM", start)
        out = flash_attention(*qkv, layout.cuts, 0.1)
        results.append([out, *torch.autograd.grad(out, qkv, torch.ones_like(out))])
    for ours, other in zip(*results, strict=True):
        assert error(ours, other) < 1e-2


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCAB,
        hidden_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=512,
        max_position_embeddings=8192,
        initializer_range=0.05,
    )
    return Qwen2ForCausalLM(config).to("cuda", torch.bfloat16).eval()


def step(model: PreTrainedModel, batch: Batch, recompute: bool = False) -> tuple[Tensor, Tensor]:
    """The log-probabilities, and all gradients end to end."""
    model.zero_grad()
    layout = PackedLayout.build(*batch, device="cuda")
    logprobs, _ = completion_logprobs(model, layout, 0.8, 64, recompute)
    (logprobs * torch.linspace(-1, 1, len(logprobs), device="cuda")).sum().backward()
    return logprobs.detach(), torch.cat([p.grad.flatten().float() for p in model.parameters()])


def without_flash(run: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "flash_takes", lambda query, value: False)
        return run()


@pytest.fixture
def uncompiled(model: PreTrainedModel) -> Iterator[None]:
    yield
    uncompile_layers(model)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", ["groups", "mixed", "long"])
def test_a_step(model: PreTrainedModel, name: str, recompute: bool, compiles: bool) -> None:
    clear = without_flash(lambda: step(model, BATCHES[name]))
    if compiles:
        compile_layers(model)
    logprobs, grads = step(model, BATCHES[name], recompute)
    assert (logprobs - clear[0]).abs().mean() < 0.01
    assert error(grads, clear[1]) < 0.03


def test_the_head_in_bfloat16_against_float32() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(300, 64, device="cuda").bfloat16().requires_grad_()
    weight = (torch.randn(5003, 64, device="cuda") / 4).bfloat16().requires_grad_()
    bias = torch.randn(5003, device="cuda").bfloat16().requires_grad_()
    targets = torch.randint(0, 5003, (300,), device="cuda")
    signal = torch.randn(300, device="cuda")
    leaves = (hidden, weight, bias)
    wide = [t.detach().double().requires_grad_() for t in leaves]
    ours = chunked_logprobs(*leaves, targets, 0.7, 40)
    exact = chunked_logprobs(*wide, targets, 0.7, 40)
    assert torch.allclose(ours[0].double(), exact[0], atol=1e-4)
    assert torch.allclose(ours[1].double(), exact[1], atol=1e-4)
    grads = torch.autograd.grad(ours[0], leaves, signal)
    for grad, reference in zip(grads, torch.autograd.grad(exact[0], wide, signal), strict=True):
        assert error(grad, reference) < 1e-2


def test_a_pass_waits_for_the_device_nowhere(model: PreTrainedModel) -> None:
    step(model, BATCHES["groups"])
    torch.cuda.set_sync_debug_mode("error")
    try:
        layout = PackedLayout.build(*BATCHES["groups"], device="cuda")
        logprobs, entropy = completion_logprobs(model, layout, 0.8, 64)
        layout.pad(logprobs).sum().backward()
        layout.pad(entropy)
        layout.loss_mask()
    finally:
        torch.cuda.set_sync_debug_mode("default")
