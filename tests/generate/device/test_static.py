"""What may be in a graph, and what may not."""

from __future__ import annotations

import pytest
import torch
from tests.generate.helpers import random_prompts
from tests.generate.test_architectures import LATENT, SIZES
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, LlamaConfig, LlamaForCausalLM

from ponder.errors import PonderError
from ponder.generate.device.static import changing_rope, static_experts
from ponder.generate.local import LocalGenerator
from ponder.models.tiny import byte_level_tokenizer, make_tiny_model
from ponder.types import Sampling


def test_experts_compute_the_same_without_asking() -> None:
    torch.manual_seed(0)
    model = DeepseekV3ForCausalLM(DeepseekV3Config(**LATENT)).eval()
    ids = torch.randint(0, 200, (3, 7))
    before = model.get_experts_implementation()
    with torch.no_grad():
        expected = model(ids).logits
        with static_experts(model):
            assert model.get_experts_implementation() != before
            found = model(ids).logits
    assert model.get_experts_implementation() == before
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_plain_models_are_left_alone() -> None:
    model, _ = make_tiny_model(0)
    with static_experts(model):
        pass
    assert changing_rope(model) is None


def test_a_rope_that_changes_within_a_batch_is_refused() -> None:
    scaling = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    sizes = SIZES | {"max_position_embeddings": 64}
    model = LlamaForCausalLM(LlamaConfig(**sizes, rope_parameters=scaling)).eval()
    assert changing_rope(model) == 64
    generator = LocalGenerator(model, byte_level_tokenizer())
    with pytest.raises(PonderError, match="rotary"):
        generator.generate(random_prompts((40,)), 1, Sampling(max_completion_tokens=50), 0)
