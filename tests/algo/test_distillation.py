"""Reverse KL against the plain formula in float64, its gradient, and the sampled estimate."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ponder.algo.distillation import Head, chunked_reverse_kl, sampled_reverse_kl


def plain(student: Head, teacher: Head, temperature: float) -> Tensor:
    def log_softmax(head: Head) -> Tensor:
        logits = head.hidden.double() @ head.weight.double().t()
        if head.bias is not None:
            logits = logits + head.bias.double()
        return torch.log_softmax(logits[:, :vocab] / temperature, -1)

    vocab = min(len(student.weight), len(teacher.weight))
    ours, theirs = log_softmax(student), log_softmax(teacher)
    return (ours.exp() * (ours - theirs)).sum(-1)


def make(
    dtype: torch.dtype, num: int = 11, vocab: int = 13, size: int = 5, bias: bool = True
) -> Head:
    tensors = [torch.randn(num, size), torch.randn(vocab, size), torch.randn(vocab)]
    hidden, weight, last = (tensor.to(dtype).requires_grad_() for tensor in tensors)
    return Head(hidden, weight, last if bias else None)


def pair(dtype: torch.dtype, bias: bool = True, teacher_vocab: int = 13) -> tuple[Head, Head]:
    torch.manual_seed(0)
    return make(dtype, bias=bias), make(dtype, size=8, vocab=teacher_vocab)


def test_by_hand() -> None:
    # Student 1/4, 3/4; teacher 1/2, 1/2: KL = 1/4 ln(1/2) + 3/4 ln(3/2) = 0.1308122.
    # d KL / d logit_0 = 1/4 (ln(1/2) - 0.1308122) = -0.2059898, and + that for the other.
    one = torch.ones(1, 1)
    weight = torch.tensor([[0.0], [math.log(3)]], requires_grad=True)
    found = chunked_reverse_kl(
        Head(one, weight, None), Head(one, torch.zeros(2, 1), None), torch.tensor([1])
    )
    assert found.kl.item() == pytest.approx(0.1308122, abs=1e-6)
    assert float(found.logprobs) == pytest.approx(math.log(0.75))
    assert float(found.entropy) == pytest.approx(0.5623351, abs=1e-6)
    assert float(found.agrees) == 0.0
    found.kl.sum().backward()
    assert weight.grad is not None
    assert weight.grad.flatten().tolist() == pytest.approx([-0.2059898, 0.2059898], abs=1e-6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("chunk_tokens", [1, 4, 11, 100])
def test_values_and_gradients_are_those_of_the_plain_formula(
    bias: bool, temperature: float, chunk_tokens: int
) -> None:
    student, teacher = pair(torch.float64, bias)
    targets = torch.randint(0, 13, (11,))
    upstream = torch.randn(11, dtype=torch.float64)
    leaves = [leaf for leaf in student if leaf is not None]
    expected = plain(student, teacher, temperature)
    wanted = torch.autograd.grad(expected @ upstream, leaves)
    found = chunked_reverse_kl(student, teacher, targets, temperature, chunk_tokens)
    got = torch.autograd.grad(found.kl @ upstream, leaves)
    torch.testing.assert_close(found.kl, expected, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("teacher_vocab", [9, 17])
def test_columns_that_only_one_head_has_take_no_part(teacher_vocab: int) -> None:
    student, teacher = pair(torch.float64, teacher_vocab=teacher_vocab)
    found = chunked_reverse_kl(student, teacher, torch.zeros(11, dtype=torch.long), 1.0, 3)
    expected = plain(student, teacher, 1.0)
    torch.testing.assert_close(found.kl, expected, rtol=1e-12, atol=1e-12)
    wanted = torch.autograd.grad(expected.sum(), student.weight)[0]
    got = torch.autograd.grad(found.kl.sum(), student.weight)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_types_compute_in_float32(dtype: torch.dtype) -> None:
    student, teacher = pair(dtype)
    found = chunked_reverse_kl(student, teacher, torch.zeros(11, dtype=torch.long), 1.0, 4)
    expected = plain(student, teacher, 1.0)
    assert found.kl.dtype is torch.float32
    torch.testing.assert_close(found.kl.double(), expected, rtol=1e-5, atol=1e-5)
    found.kl.sum().backward()
    wanted = torch.autograd.grad(expected.sum(), student.weight)[0]
    rtol = 1e-4 if dtype is torch.float32 else 5e-2
    assert student.weight.grad is not None
    assert (student.weight.grad - wanted).norm() < rtol * wanted.norm()


def test_the_same_model_has_no_divergence_and_agrees() -> None:
    student, _ = pair(torch.float32)
    found = chunked_reverse_kl(student, student, torch.zeros(11, dtype=torch.long))
    assert found.kl.abs().max().item() < 1e-6
    assert found.agrees.tolist() == [1.0] * 11
    found.kl.sum().backward()
    assert student.hidden.grad is not None
    assert float(student.hidden.grad.abs().max()) < 1e-6


def test_nothing_flows_to_the_teacher_or_through_the_other_figures() -> None:
    student, teacher = pair(torch.float32)
    found = chunked_reverse_kl(student, teacher, torch.zeros(11, dtype=torch.long))
    assert [part.requires_grad for part in found] == [True, False, False, False]
    found.kl.sum().backward()
    assert teacher.hidden.grad is None
    assert teacher.weight.grad is None


def test_wrong_arguments() -> None:
    student, teacher = pair(torch.float32)
    short = Head(teacher.hidden[:3], teacher.weight, teacher.bias)
    with pytest.raises(ValueError, match="11 student's tokens, 3 teacher's"):
        chunked_reverse_kl(student, short, torch.zeros(11, dtype=torch.long))
    with pytest.raises(ValueError, match="temperature"):
        chunked_reverse_kl(student, teacher, torch.zeros(11, dtype=torch.long), 0.0)


def test_the_sampled_estimate_has_the_gradient_of_the_full_one_in_expectation() -> None:
    """Each token of the vocabulary is "sampled" once and weighed with its probability."""
    torch.manual_seed(0)
    logits = torch.randn(7, dtype=torch.float64, requires_grad=True)
    teacher = torch.log_softmax(torch.randn(7, dtype=torch.float64), -1)
    logprobs = torch.log_softmax(logits, -1)
    full = (logprobs.exp() * (logprobs - teacher)).sum()
    mask = torch.ones(7, 1, dtype=torch.bool)
    sampler = logprobs.detach()[:, None]
    loss, estimate, stats = sampled_reverse_kl(
        logprobs[:, None], teacher[:, None], sampler, mask, cap=2.0
    )
    probabilities = logprobs.detach().exp()
    wanted = torch.autograd.grad(full, logits, retain_graph=True)[0]
    got = torch.autograd.grad((probabilities * loss[:, 0]).sum(), logits)[0]
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close((probabilities * estimate[:, 0]).sum(), full.detach())
    assert float(stats.weight_sum) == pytest.approx(7.0)
