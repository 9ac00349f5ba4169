"""Chunked log-probabilities against the plain formula, and what they must never build."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ponder.algo import chunked_logprobs


def plain(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    logits = hidden @ weight.t()
    if bias is not None:
        logits = logits + bias
    everything = torch.log_softmax(logits / temperature, -1)
    entropy = -(everything.exp() * everything).sum(-1)
    return everything.gather(1, targets[:, None]).squeeze(1), entropy


def make(dtype: torch.dtype, num: int = 11, vocab: int = 7, size: int = 5) -> list[Tensor]:
    torch.manual_seed(0)
    tensors = [torch.randn(num, size), torch.randn(vocab, size), torch.randn(vocab)]
    leaves = [tensor.to(dtype).requires_grad_() for tensor in tensors]
    return [*leaves, torch.randint(0, vocab, (num,))]


def test_by_hand() -> None:
    # One state (1), head (0, ln 3): logits 0 and ln 3, probabilities 1/4 and 3/4.
    # Entropy = -(0.25 ln 0.25 + 0.75 ln 0.75) = 0.5623351.
    # Temperature 0.5 doubles the logits: 1/10 and 9/10.
    hidden, weight = torch.ones(1, 1), torch.tensor([[0.0], [math.log(3)]])
    logprobs, entropy = chunked_logprobs(hidden, weight, None, torch.tensor([1]))
    assert float(logprobs) == pytest.approx(math.log(0.75))
    assert float(entropy) == pytest.approx(0.5623351, abs=1e-6)
    cold, _ = chunked_logprobs(hidden, weight, None, torch.tensor([0]), temperature=0.5)
    assert float(cold) == pytest.approx(math.log(0.1))


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("chunk_tokens", [1, 4, 11, 100])
def test_gradcheck(with_bias: bool, temperature: float, chunk_tokens: int) -> None:
    hidden, weight, bias, targets = make(torch.float64, num=5, vocab=4, size=3)

    def logprobs(*leaves: Tensor) -> Tensor:
        b = leaves[2] if with_bias else None
        return chunked_logprobs(leaves[0], leaves[1], b, targets, temperature, chunk_tokens)[0]

    leaves = (hidden, weight, bias) if with_bias else (hidden, weight)
    assert torch.autograd.gradcheck(logprobs, leaves)


@pytest.mark.parametrize("chunk_tokens", [1, 3, 11, 64])
def test_matches_the_plain_formula_in_float32(chunk_tokens: int) -> None:
    hidden, weight, bias, targets = make(torch.float32)
    signal = torch.randn(11)
    ours = chunked_logprobs(hidden, weight, bias, targets, 0.8, chunk_tokens)
    theirs = plain(hidden, weight, bias, targets, 0.8)
    assert torch.allclose(ours[0], theirs[0], atol=1e-6)
    assert torch.allclose(ours[1], theirs[1], atol=1e-6)
    assert not ours[1].requires_grad
    grads = torch.autograd.grad(ours[0], [hidden, weight, bias], signal)
    expected = torch.autograd.grad(theirs[0], [hidden, weight, bias], signal)
    for grad, reference in zip(grads, expected, strict=True):
        assert torch.allclose(grad, reference, atol=1e-5)


def test_tied_embeddings_get_both_gradients() -> None:
    _, weight, _, targets = make(torch.float64)
    ours = chunked_logprobs(weight[targets], weight, None, targets.roll(1), 1.0, 4)[0]
    theirs = plain(weight[targets], weight, None, targets.roll(1), 1.0)[0]
    signal = torch.randn(11, dtype=torch.float64)
    (grad,) = torch.autograd.grad(ours, weight, signal)
    assert torch.allclose(grad, torch.autograd.grad(theirs, weight, signal)[0])


def test_a_frozen_head_still_gives_hidden_its_gradient() -> None:
    hidden, weight, _, targets = make(torch.float64)
    frozen = weight.detach()
    chunked_logprobs(hidden, frozen, None, targets, 1.0, 4)[0].sum().backward()
    reference = plain(hidden, frozen, None, targets, 1.0)[0].sum()
    assert torch.allclose(hidden.grad, torch.autograd.grad(reference, hidden)[0])  # type: ignore[arg-type]


def test_bfloat16_inputs_are_summed_in_float32() -> None:
    # With 512 equal logits of about 100 the normaliser's ln 512 = 6.24 would vanish in bfloat16.
    hidden = torch.full((3, 64), 1.25, dtype=torch.bfloat16)
    weight = torch.full((512, 64), 1.25, dtype=torch.bfloat16, requires_grad=True)
    logprobs, entropy = chunked_logprobs(hidden, weight, None, torch.tensor([0, 1, 2]), 1.0, 2)
    assert logprobs.dtype is entropy.dtype is torch.float32
    assert torch.allclose(logprobs, torch.full((3,), -math.log(512)), atol=1e-5)
    logprobs.sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype is torch.bfloat16
    # A row that was a target once: (1 - 3/512) * 1.25; another: -3/512 * 1.25.
    assert float(weight.grad[0, 0]) == pytest.approx((1 - 3 / 512) * 1.25, rel=1e-2)
    assert float(weight.grad[9, 0]) == pytest.approx(-3 / 512 * 1.25, rel=1e-2)


def test_large_logits_do_not_overflow() -> None:
    hidden, weight = torch.tensor([[1000.0]]), torch.tensor([[1.0], [-1.0]], requires_grad=True)
    logprobs, entropy = chunked_logprobs(hidden, weight, None, torch.tensor([1]))
    assert (float(logprobs.detach()), float(entropy)) == (-2000.0, 0.0)
    logprobs.sum().backward()
    assert weight.grad is not None
    assert weight.grad.flatten().tolist() == [-1000.0, 1000.0]


class LargestTensor(TorchDispatchMode):
    """Watches every operation for the largest tensor that it returns."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(item, Tensor):
                self.largest = max(self.largest, item.numel())
        return result


def test_the_logits_of_all_tokens_never_exist() -> None:
    num, vocab, size, chunk = 300, 200, 8, 16
    hidden = torch.randn(num, size, requires_grad=True)
    weight = torch.randn(vocab, size, requires_grad=True)
    with LargestTensor() as watch:
        logprobs, _ = chunked_logprobs(
            hidden, weight, None, torch.randint(0, vocab, (num,)), 0.9, chunk
        )
        logprobs.backward(torch.randn(num))
    assert watch.largest == chunk * vocab


def test_no_tokens_and_a_bad_temperature() -> None:
    nothing = torch.zeros(0, dtype=torch.long)
    logprobs, entropy = chunked_logprobs(torch.zeros(0, 4), torch.zeros(6, 4), None, nothing)
    assert logprobs.shape == entropy.shape == (0,)
    with pytest.raises(ValueError, match="temperature"):
        chunked_logprobs(torch.zeros(1, 4), torch.zeros(6, 4), None, torch.zeros(1).long(), 0.0)
