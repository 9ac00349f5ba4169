"""The surrogates: every variant by hand, its gradient, and what padding must not change."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ponder.algo import LOSSES, LossStats

MASK = torch.tensor([[True, True, True], [True, True, False]])
RATIOS = torch.tensor([[1.0, 1.5, 0.5], [1.5, 0.5, 9.0]])
ADVANTAGES = torch.tensor([2.0, -1.0])


def run(
    name: str, clip_low: float, clip_high: float, advantages: Tensor = ADVANTAGES
) -> tuple[Tensor, Tensor, LossStats]:
    """Losses and their gradients where the ratios are RATIOS and every old logprob is -1."""
    old = torch.full((2, 3), -1.0)
    logprobs = (old + RATIOS.log()).requires_grad_()
    losses, stats = LOSSES[name](logprobs, old, advantages, MASK, clip_low, clip_high)
    losses.sum().backward()
    assert logprobs.grad is not None
    return losses.detach(), logprobs.grad, stats


def test_grpo_by_hand() -> None:
    # Clip to [0.8, 1.2].
    # A = 2: r 1: -min(2, 2) = -2. r 1.5: -min(3, 2.4) = -2.4, no gradient.
    #        r 0.5: -min(1, 1.6) = -1.
    # A = -1: r 1.5: -min(-1.5, -1.2) = 1.5. r 0.5: -min(-0.5, -0.8) = 0.8, no gradient.
    # d(r)/d(logprob) = r, so the gradient is -r A where nothing is clipped.
    losses, grad, stats = run("grpo", 0.2, 0.2)
    assert torch.allclose(losses, torch.tensor([[-2, -2.4, -1], [1.5, 0.8, 0]]))
    assert torch.allclose(grad, torch.tensor([[-2.0, 0, -1], [1.5, 0, 0]]))
    # 5 tokens: one cut high (A > 0), one cut low (A < 0). The 9 is outside the mask.
    assert stats.metrics() == pytest.approx(
        {"loss/clip_low_fraction": 0.2, "loss/clip_high_fraction": 0.2, "loss/ratio_max": 1.5}
    )


def test_dapo_clips_higher() -> None:
    # Clip to [0.8, 1.6]: now r 1.5 with A = 2 keeps its gradient: -3.
    losses, grad, stats = run("dapo", 0.2, 0.6)
    assert torch.allclose(losses, torch.tensor([[-2.0, -3, -1], [1.5, 0.8, 0]]))
    assert torch.allclose(grad, torch.tensor([[-2.0, -3, -1], [1.5, 0, 0]]))
    assert (int(stats.num_clipped_low), int(stats.num_clipped_high)) == (1, 0)


def test_the_papers_clip_of_ten_cuts_only_above_eleven() -> None:
    # clip(r, -9, 11): r 12 with A = 1 gives -11 and no gradient; r 12 with A = -1 gives 12; a tiny
    # ratio with A = -1 is never cut.
    old = torch.zeros(2, 2)
    logprobs = torch.tensor([[12.0, 10.0], [12.0, 1e-6]]).log().requires_grad_()
    advantages, mask = torch.tensor([1.0, -1.0]), torch.ones(2, 2, dtype=torch.bool)
    losses, stats = LOSSES["grpo"](logprobs, old, advantages, mask, 10.0, 10.0)
    losses.sum().backward()
    assert torch.allclose(losses, torch.tensor([[-11.0, -10.0], [12.0, 1e-6]]))
    assert logprobs.grad is not None
    assert torch.allclose(logprobs.grad, torch.tensor([[0.0, -10.0], [12.0, 1e-6]]))
    assert (int(stats.num_clipped_low), int(stats.num_clipped_high)) == (0, 1)


def test_dr_grpo_has_grpos_surrogate() -> None:
    # It differs in the advantage (mean-centred) and the normaliser (constant) only.
    assert torch.equal(run("dr_grpo", 0.2, 0.2)[0], run("grpo", 0.2, 0.2)[0])


def test_cispo_by_hand() -> None:
    # Weights clip(r, 0.8, 1.2) = 1, 1.2, 0.8 | 1.2, 0.8; gradient -w A for EVERY token:
    # A = 2: -2, -2.4, -1.6; A = -1: 1.2, 0.8.
    # Loss -w A logprob, logprob = -1 + ln r: first token -1 * 2 * -1 = 2.
    losses, grad, stats = run("cispo", 0.2, 0.2)
    assert torch.allclose(grad, torch.tensor([[-2, -2.4, -1.6], [1.2, 0.8, 0]]))
    assert losses[0, 0] == pytest.approx(2.0)
    assert losses[0, 1] == pytest.approx(-1.2 * 2 * (-1 + math.log(1.5)))
    # Cut: r 1.5 twice above, r 0.5 twice below, of 5 tokens.
    assert stats.metrics()["loss/clip_high_fraction"] == pytest.approx(0.4)
    assert stats.metrics()["loss/clip_low_fraction"] == pytest.approx(0.4)


def test_gspo_by_hand() -> None:
    # s_0 = (1 * 1.5 * 0.5)^(1/3) = 0.9085603; s_1 = (1.5 * 0.5)^(1/2) = 0.8660254.
    # Clip to [0.9, 1.1]. Sequence 0 (A = 2) is inside: -s A = -1.8171206 at each of its tokens;
    #   the gradient of the mean of its three is -s A / 3 a token, of their sum three times that.
    # Sequence 1 (A = -1): -min(-0.866, -0.9) = 0.9, clipped as a whole: no gradient at all.
    losses, grad, stats = run("gspo", 0.1, 0.1)
    value = -2 * 0.75 ** (1 / 3)
    assert torch.allclose(losses, torch.tensor([[value] * 3, [0.9, 0.9, 0]]))
    assert torch.allclose(grad, torch.tensor([[value] * 3, [0, 0, 0]]))
    assert (int(stats.num_clipped_low), int(stats.num_clipped_high)) == (2, 0)
    assert stats.metrics()["loss/ratio_max"] == pytest.approx(0.75 ** (1 / 3))


def test_gspo_clips_a_good_sequence_above() -> None:
    # A = (1, 1): s_0 = 0.9086 and s_1 = 0.8660, upper bound 0.88: sequence 0 (3 tokens) is cut.
    losses, grad, stats = run("gspo", 0.5, -0.12, torch.ones(2))
    assert torch.allclose(losses[0], torch.full((3,), -0.88))
    assert grad[0].tolist() == [0, 0, 0]
    assert torch.allclose(grad[1], torch.tensor([-(0.75**0.5), -(0.75**0.5), 0]))
    assert int(stats.num_clipped_high) == 3


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_at_ratio_one_every_variant_is_reinforce(name: str) -> None:
    # Just after the rollout r = s = 1: the gradient of the sequence's sum is -A at each token.
    logprobs = torch.tensor([[-1.0, -2.0], [-0.5, -3.0]], requires_grad=True)
    mask = torch.ones(2, 2, dtype=torch.bool)
    losses, stats = LOSSES[name](logprobs, logprobs.detach(), ADVANTAGES, mask, 0.2, 0.2)
    losses.sum().backward()
    assert logprobs.grad is not None
    assert torch.allclose(logprobs.grad, torch.tensor([[-2.0, -2.0], [1.0, 1.0]]))
    assert stats.metrics() == {
        "loss/clip_low_fraction": 0,
        "loss/clip_high_fraction": 0,
        "loss/ratio_max": 1,
    }


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("garbage", [math.nan, math.inf, -1e9])
def test_padding_changes_nothing(name: str, garbage: float) -> None:
    torch.manual_seed(0)
    short = torch.randn(3, 4, requires_grad=True)
    old = torch.randn(3, 4)
    advantages, mask = torch.randn(3), torch.rand(3, 4) > 0.3
    losses, stats = LOSSES[name](short, old, advantages, mask, 0.2, 0.3)
    losses.sum().backward()
    padding = torch.full((3, 2), garbage)
    padded = torch.cat([short.detach(), padding], 1).requires_grad_()
    long_mask = torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], 1)
    long_losses, long_stats = LOSSES[name](
        padded, torch.cat([old, padding], 1), advantages, long_mask, 0.2, 0.3
    )
    long_losses.sum().backward()
    assert torch.allclose(long_losses[:, :4], losses)
    assert long_losses[:, 4:].tolist() == [[0, 0]] * 3
    assert padded.grad is not None
    assert short.grad is not None
    assert torch.allclose(padded.grad[:, :4], short.grad)
    assert padded.grad[:, 4:].tolist() == [[0, 0]] * 3
    assert long_stats.metrics() == pytest.approx(stats.metrics())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_order_of_sequences_and_stats_of_parts(name: str) -> None:
    torch.manual_seed(1)
    logprobs, old, advantages = torch.randn(6, 5), torch.randn(6, 5), torch.randn(6)
    mask = torch.rand(6, 5) > 0.2
    losses, stats = LOSSES[name](logprobs, old, advantages, mask, 0.2, 0.3)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    parts = [
        LOSSES[name](logprobs[i], old[i], advantages[i], mask[i], 0.2, 0.3)
        for i in order.split([2, 4])
    ]
    assert torch.allclose(torch.cat([part[0] for part in parts]), losses[order])
    assert (parts[0][1] + parts[1][1]).metrics() == pytest.approx(stats.metrics())


def test_a_zero_advantage_is_never_counted_as_clipped() -> None:
    for name in LOSSES:
        stats = run(name, 0.2, 0.2, torch.zeros(2))[2]
        assert int(stats.num_clipped_low) + int(stats.num_clipped_high) == 0
