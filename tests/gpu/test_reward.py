"""Reward models on a GPU: the same scores as on the CPU, and an update that lowers the loss."""

from __future__ import annotations

import pytest
import torch

from ponder.config.reward_model import RewardModelConfig
from ponder.models.reward import RewardFacts, RewardModel
from ponder.models.tiny import make_tiny_model
from ponder.train.optimizer import make_optimizer
from ponder.train.reward.data import Example
from ponder.train.reward.session import update

pytestmark = pytest.mark.gpu


def reward_model(device: str, dtype: torch.dtype) -> RewardModel:
    base, _ = make_tiny_model(0, hidden_size=128, num_heads=4, num_kv_heads=2)
    return RewardModel(base.base_model.to(device, dtype), RewardFacts("pairwise", "whole"))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 0.15)])
def test_scores_are_those_of_the_cpu(dtype: torch.dtype, tolerance: float) -> None:
    ids = torch.randint(0, 256, (6, 200), generator=torch.Generator().manual_seed(0)).tolist()
    asked = ([ids[0][:50], ids[1]], [ids[2], ids[3][:17], ids[4][:3]], [0, 0, 1])
    with torch.no_grad():
        slow = reward_model("cpu", torch.float32).scores(*asked)
        fast = reward_model("cuda", dtype).scores(*asked).cpu()
    torch.testing.assert_close(fast, slow, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_updates_lower_the_loss(dtype: str) -> None:
    model = reward_model("cuda", getattr(torch, dtype))
    settings = {"dtype": dtype, "recompute": True, "optimizer": {"learning_rate": 1e-3}}
    config = RewardModelConfig.model_validate(settings)
    optimizer = make_optimizer(model, config.optimizer)
    ids = torch.randint(0, 256, (16, 40), generator=torch.Generator().manual_seed(1)).tolist()
    batch = [Example(ids[i][:9], (ids[i], ids[i + 8])) for i in range(8)]
    losses = [update(model, optimizer, batch, config, step, 20)["loss/total"] for step in range(20)]
    assert losses[-1] < 0.5 * losses[0]
