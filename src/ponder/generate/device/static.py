"""What in a model would make the device wait for the host, and so cannot be in a CUDA graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

CHANGING_ROPE = ("dynamic", "longrope")
"""Rotary embeddings whose frequencies depend on the longest position of a pass."""


@contextmanager
def static_experts(model: Any) -> Iterator[None]:
    """Inside, a mixture of experts computes without asking which experts were chosen.

    transformers' plain form loops over those that were, which only the host can know. In 16 bits
    the experts are one grouped product; float32 has none on a GPU, and takes a batched one.
    """
    if not model._can_set_experts_implementation():
        yield
        return
    before = model.get_experts_implementation()
    wide = model.get_input_embeddings().weight.dtype is torch.float32
    model.set_experts_implementation("batched_mm" if wide else "grouped_mm")
    try:
        yield
    finally:
        model.set_experts_implementation(before)


def changing_rope(model: nn.Module) -> int | None:
    """From how many tokens on the model's rotary frequencies change; None if they never do."""
    config: Any = model.config
    found = [m for m in model.modules() if getattr(m, "rope_type", None) in CHANGING_ROPE]
    if not found:
        return None
    parameters = config.rope_parameters or {}
    usual = config.max_position_embeddings
    return int(parameters.get("original_max_position_embeddings") or usual)
