"""Aggregation: by hand, and a split into microbatches that changes nothing."""

from __future__ import annotations

import pytest
import torch

from ponder.algo import aggregate, loss_denominator

LOSSES = torch.tensor([[1.0, 2.0, 3.0, 4.0], [6.0, 100.0, 100.0, 100.0], [0.0, 8.0, 0.0, 0.0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]]).bool()


@pytest.mark.parametrize(
    ("normalise", "expected"),
    [
        # Tokens: 4 + 1 + 2 = 7; sum 10 + 6 + 8 = 24.
        ("token", 24 / 7),
        # Means of sequences: 10/4, 6/1, 8/2 -> 12.5 over 3 sequences.
        ("sequence", 12.5 / 3),
        # Dr. GRPO with a budget of 10 tokens: 24 / (3 * 10).
        ("constant", 24 / 30),
    ],
)
def test_by_hand(normalise: str, expected: float) -> None:
    denominator = loss_denominator(MASK.sum(-1), normalise, 10)  # type: ignore[arg-type]
    loss = aggregate(LOSSES, MASK, normalise, denominator)  # type: ignore[arg-type]
    assert float(loss) == pytest.approx(expected)


@pytest.mark.parametrize("normalise", ["token", "sequence", "constant"])
def test_a_masked_completion_leaves_the_denominator_too(normalise: str) -> None:
    masked = torch.cat([MASK, torch.zeros(2, 4, dtype=torch.bool)])
    full = loss_denominator(MASK.sum(-1), normalise, 10)  # type: ignore[arg-type]
    assert loss_denominator(masked.sum(-1), normalise, 10) == full  # type: ignore[arg-type]


@pytest.mark.parametrize("normalise", ["token", "sequence", "constant"])
@pytest.mark.parametrize("split", [[1, 8], [4, 5], [3, 3, 3]])
def test_microbatches_sum_to_the_minibatch(normalise: str, split: list[int]) -> None:
    torch.manual_seed(0)
    values = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(6) < torch.randint(0, 7, (9, 1))
    denominator = loss_denominator(mask.sum(-1), normalise, 6)  # type: ignore[arg-type]
    whole = aggregate(values.square(), mask, normalise, denominator)  # type: ignore[arg-type]
    (whole_grad,) = torch.autograd.grad(whole, values)
    # Each microbatch is padded only to its own longest sequence, in another order.
    order = torch.randperm(9)
    parts = []
    for part in order.split(split):
        longest = max(int(mask[part].sum(-1).max()), 1)
        piece, inside = values.square()[part, :longest], mask[part, :longest]
        parts.append(aggregate(piece, inside, normalise, denominator))  # type: ignore[arg-type]
    (parts_grad,) = torch.autograd.grad(torch.stack(parts).sum(), values)
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-14)
    assert torch.allclose(parts_grad, whole_grad, rtol=1e-14)


def test_an_empty_minibatch_is_zero_not_nan() -> None:
    empty = torch.zeros(2, 3, dtype=torch.bool)
    for normalise in ("token", "sequence", "constant"):
        denominator = loss_denominator(empty.sum(-1), normalise, 5)  # type: ignore[arg-type]
        loss = aggregate(torch.full((2, 3), torch.nan), empty, normalise, denominator)  # type: ignore[arg-type]
        assert float(loss) == 0.0
