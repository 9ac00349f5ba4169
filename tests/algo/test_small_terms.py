"""The k3 KL, truncated importance sampling and soft overlong, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ponder.algo import importance_weights, k3, soft_overlong


def test_k3_by_hand() -> None:
    # Equal: 0. ref twice as likely: 2 - ln 2 - 1. ref half as likely: 0.5 + ln 2 - 1.
    logprobs = torch.tensor([-1.0, -1.0, -1.0])
    reference = logprobs + torch.tensor([1.0, 2.0, 0.5]).log()
    expected = torch.tensor([0.0, 1 - math.log(2), math.log(2) - 0.5])
    assert torch.allclose(k3(logprobs, reference), expected)


def test_k3_gradient_is_one_minus_the_ratio() -> None:
    # d/dlogprob (e^d - d - 1) = 1 - e^d with d = ref - logprob; nothing flows into the reference.
    logprobs = torch.tensor([-1.0, -2.0], requires_grad=True)
    reference = torch.tensor([-2.0, -1.5], requires_grad=True)
    k3(logprobs, reference).sum().backward()
    assert logprobs.grad is not None
    assert torch.allclose(logprobs.grad, 1 - torch.tensor([-1.0, 0.5]).exp())
    assert reference.grad is None


def test_k3_is_the_kl_on_average_and_never_negative() -> None:
    # Over a whole distribution: sum p (q/p - ln(q/p) - 1) = KL(p || q).
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    exact = (p * (p / q).log()).sum()
    assert float((p * k3(p.log(), q.log())).sum()) == pytest.approx(float(exact), rel=1e-5)
    near = torch.full((1000,), -1.0) + torch.linspace(-1e-3, 1e-3, 1000)
    assert (k3(torch.full((1000,), -1.0), near) >= 0).all()


def test_importance_weights_by_hand() -> None:
    # old / sampler: 1, 0.5, 3 (capped to 2), and a masked 100.
    sampler = torch.full((1, 4), -3.0)
    old = sampler + torch.tensor([[1.0, 0.5, 3.0, 100.0]]).log()
    mask = torch.tensor([[True, True, True, False]])
    weights, stats = importance_weights(old.requires_grad_(), sampler, mask, cap=2.0)
    assert torch.allclose(weights, torch.tensor([[1.0, 0.5, 2.0, 1.0]]))
    assert not weights.requires_grad
    assert stats.metrics()["loss/importance_mean"] == pytest.approx(3.5 / 3)
    assert stats.metrics()["loss/importance_capped_fraction"] == pytest.approx(1 / 3)
    both = (stats + stats).metrics()
    assert both == pytest.approx(stats.metrics())


def test_importance_off_is_one_everywhere() -> None:
    mask = torch.ones(2, 2, dtype=torch.bool)
    weights, stats = importance_weights(torch.randn(2, 2), torch.randn(2, 2), mask, cap=0.0)
    assert weights.tolist() == [[1, 1], [1, 1]]
    assert stats.metrics() == {
        "loss/importance_mean": 1,
        "loss/importance_capped_fraction": 0,
    }


@pytest.mark.parametrize(
    ("num_tokens", "expected"),
    # Limit 20, buffer 8: nothing up to 12, -1/8 a token from there, -1 from 20.
    [(0, 0), (12, 0), (13, -0.125), (16, -0.5), (19, -0.875), (20, -1), (25, -1)],
)
def test_soft_overlong_by_hand(num_tokens: int, expected: float) -> None:
    assert soft_overlong(num_tokens, limit=20, buffer=8) == expected


def test_soft_overlong_without_a_buffer_punishes_at_the_limit_only() -> None:
    assert [soft_overlong(n, limit=5, buffer=0) for n in (4, 5, 6)] == [0.0, 0.0, -1.0]
