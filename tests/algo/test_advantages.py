"""Group advantages: numbers by hand, ragged groups, exact zeros."""

from __future__ import annotations

import math

import pytest
import torch

from ponder.algo import group_advantages
from ponder.errors import GuardError


def test_std_by_hand() -> None:
    # Group 7: rewards 1, 0, 0, 1: mean 0.5, population variance 0.25, std 0.5 -> +1, -1, -1, +1.
    # Group 3 (ragged, three left): 2, 0, 1: mean 1, variance (1 + 1 + 0) / 3, std 0.8164966
    #   -> 1.2247449, -1.2247449, 0.
    rewards = torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    groups = torch.tensor([7, 3, 7, 3, 7, 3, 7])
    expected = torch.tensor([1, math.sqrt(1.5), -1, -math.sqrt(1.5), -1, 0, 1])
    assert torch.allclose(group_advantages(rewards, groups, "std", eps=0.0), expected)


def test_eps_is_added_to_the_std() -> None:
    # Rewards 3, 1: centred +1, -1, std 1; eps 1 halves them.
    advantages = group_advantages(torch.tensor([3.0, 1.0]), torch.tensor([0, 0]), "std", eps=1.0)
    assert advantages.tolist() == [0.5, -0.5]


def test_mean_by_hand() -> None:
    # 4, 0, 2 -> mean 2; 1, 0 -> mean 0.5. No division.
    rewards = torch.tensor([4.0, 0.0, 2.0, 1.0, 0.0])
    groups = torch.tensor([0, 0, 0, 1, 1])
    assert group_advantages(rewards, groups, "mean").tolist() == [2, -2, 0, 0.5, -0.5]


@pytest.mark.parametrize("normaliser", ["std", "mean"])
@pytest.mark.parametrize("reward", [0.1, 0.7, 1e-3, 2.0, -1 / 3])
@pytest.mark.parametrize("size", [1, 3, 7, 10])
def test_an_all_equal_group_gives_exactly_zero(normaliser: str, reward: float, size: int) -> None:
    # The mean of seven times 0.7 need not be 0.7, and a tiny eps would magnify the difference.
    rewards = torch.tensor([reward] * size + [0.0, 1.0], dtype=torch.float64)
    groups = torch.tensor([5] * size + [6, 6])
    advantages = group_advantages(rewards, groups, normaliser, eps=1e-12)  # type: ignore[arg-type]
    assert advantages[:size].tolist() == [0.0] * size
    assert (advantages[size:] != 0).all()


def test_order_of_rollouts_does_not_matter() -> None:
    rewards, groups = torch.rand(30), torch.randint(0, 5, (30,))
    shuffled = torch.randperm(30)
    direct = group_advantages(rewards, groups)
    assert torch.allclose(group_advantages(rewards[shuffled], groups[shuffled]), direct[shuffled])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(GuardError, match=r"\[1\]"):
        group_advantages(torch.tensor([0.0, bad]), torch.tensor([0, 0]))


def test_no_rollouts() -> None:
    assert group_advantages(torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == (0,)
