"""Fine-tuning on a GPU: varlen attention, compiled layers, recomputation and offload change
nothing of the loss."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from ponder.config.sft import SFTConfig
from ponder.models.tiny import make_tiny_model
from ponder.train.sft.learner import Learner
from ponder.train.sft.store import Sample

pytestmark = pytest.mark.gpu


def make_samples() -> list[Sample]:
    draw = random.Random(0)

    def ids(most: int) -> list[int]:
        return [draw.randrange(256) for _ in range(draw.randrange(1, most))]

    samples = [Sample(ids(40), ids(200)) for _ in range(12)]
    return [*samples, Sample(samples[0].prompt_ids, ids(100)), Sample([5], [6])]


def make_model() -> PreTrainedModel:
    """Heads of 64, as the varlen kernels want them."""
    model, _ = make_tiny_model(0, hidden_size=256, num_heads=4, num_kv_heads=2, init_std=0.05)
    return model.to("cuda", torch.bfloat16)


def loss_alone(model: PreTrainedModel, samples: list[Sample]) -> float:
    """The mean over all completion tokens by transformers itself, in float32, sample by sample."""
    total = 0.0
    with torch.no_grad():
        for sample in samples:
            ids = torch.tensor([[*sample.prompt_ids, *sample.completion_ids]], device=model.device)
            start = len(sample.prompt_ids)
            logits = model(input_ids=ids, use_cache=False).logits[0, start - 1 : -1]
            total += float(functional.cross_entropy(logits, ids[0, start:], reduction="sum"))
    return total / sum(len(sample.completion_ids) for sample in samples)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch": {"compile": False, "recompute": "none"}},
        {"batch": {"compile": False, "recompute": "layers"}},
        {"batch": {"compile": True, "recompute": "layers", "microbatch_tokens": 600}},
        {"batch": {"compile": True, "share_prompts": False}, "optimizer": {"offload": True}},
    ],
)
def test_the_first_loss_is_transformers_own_and_it_falls(settings: dict[str, Any]) -> None:
    model, samples = make_model(), make_samples()
    expected = loss_alone(model.float(), samples)
    model = model.bfloat16()
    optimizer = {"learning_rate": 1e-3, "min_learning_rate": 1e-4, **settings.get("optimizer", {})}
    config = SFTConfig.model_validate(
        {"device": "cuda", "dtype": "bfloat16", **settings, "optimizer": optimizer}
    )
    learner = Learner(model, config, steps=20)
    losses = [learner.update(samples)["loss/total"] for _ in range(20)]
    assert losses[0] == pytest.approx(expected, rel=1e-2)
    assert losses[-1] < losses[0] - 1
