"""Predicted activations against those that autograd really keeps (float32 copies and all)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.plan.shapes import demand
from transformers import AutoConfig, AutoModelForCausalLM

from ponder.models.packed import packed_hidden
from ponder.models.packed_layout import PackedLayout
from ponder.plan import memory
from ponder.plan.read import shape_of

NUM_TOKENS = 512


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_autograd_keeps_of_a_layer(kind: str, dtype: str) -> None:
    config = AutoConfig.for_model(
        kind, hidden_size=256, intermediate_size=1024, num_hidden_layers=4, vocab_size=1000,
        num_attention_heads=4, num_key_value_heads=4, head_dim=64,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval()
    asked = replace(demand(dtype=dtype), is_compiled=False)
    predicted = memory.saved_bytes(shape_of(config, kind), asked, "none")
    assert _kept_by_autograd(model) / NUM_TOKENS == pytest.approx(predicted, rel=0.1)


def _kept_by_autograd(model: torch.nn.Module) -> int:
    """Bytes of all tensors saved for the backward pass, the weights apart, each once."""
    completion = [index % 1000 for index in range(NUM_TOKENS - 2)]
    layout = PackedLayout.build([[1, 2]], [completion], [0], torch.device("cpu"))
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        hidden = packed_hidden(model, layout)
    assert hidden.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
