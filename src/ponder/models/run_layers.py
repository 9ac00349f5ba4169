"""Running a model's decoder layers otherwise than by calling them: compiled, or recomputed.

transformers' own switches act on the module itself (``layer.compile``, gradient checkpointing in
training mode) and so on everyone who uses it; these act inside a block of code only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)
from transformers import PreTrainedModel

from ponder.models.layers import decoder_layers

Runner = Callable[..., Any]
"""Called with a layer and the arguments of its forward pass."""


class PassMode(Protocol):
    """What a layer needs around it when the backward pass calls it."""

    def attending(self) -> AbstractContextManager[None]:
        """Inside, the layer's attention is that of the forward pass."""
        ...


@contextmanager
def layers_run_by(model: PreTrainedModel, run: Runner) -> Iterator[None]:
    """Inside, calling a decoder layer of ``model`` calls ``run(layer, ...)``; hooks stay."""
    layers = list(decoder_layers(model))
    before = [layer.__dict__.get("forward") for layer in layers]
    for layer in layers:
        layer.forward = partial(run, layer)
    try:
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            del layer.forward
            if forward is not None:
                layer.forward = forward


def plain(layer: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The layer's forward pass as its class defines it."""
    return type(layer).forward(layer, *args, **kwargs)


def recomputed(layer: nn.Module, *args: Any, packed_pass: PassMode, **kwargs: Any) -> Any:
    """The same, keeping its inputs and its attention's output for the backward pass, which
    computes the rest again. Dropout must be off."""

    def again(*inputs: Any) -> Any:
        if torch.compiler.is_compiling():  # the backward pass runs what was traced in the forward
            return plain(layer, *inputs, packed_pass=packed_pass, **kwargs)
        with packed_pass.attending():
            return plain(layer, *inputs, packed_pass=packed_pass, **kwargs)

    return checkpoint(
        again,
        *args,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=_keeping_attention,
    )


def _keeping_attention() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    contexts: tuple[AbstractContextManager[Any], AbstractContextManager[Any]]
    contexts = create_selective_checkpoint_contexts(_policy)  # type: ignore[no-untyped-call]
    return contexts


def _policy(_: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    if operator is torch.ops.ponder.packed_flash.default:
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE
