"""torch.compile for training: one compilation that serves every decoder layer of a model."""

from __future__ import annotations

from functools import cache
from typing import Any
from weakref import WeakSet

import torch
from torch import nn
from transformers import PreTrainedModel

from ponder.models.run_layers import Runner, plain, recomputed

BACKEND = "inductor"

_COMPILED: WeakSet[PreTrainedModel] = WeakSet()


def compile_layers(model: PreTrainedModel) -> None:
    """From now on packed forward passes run ``model``'s layers compiled, any number of tokens.

    Everything else that uses the model (the local engine, transformers' ``generate``) goes on as
    before. Compiling takes place in the first pass (about half a minute on a GPU).
    """
    _COMPILED.add(model)


def uncompile_layers(model: PreTrainedModel) -> None:
    """Undo ``compile_layers``; nothing happens where it wasn't called."""
    _COMPILED.discard(model)


def is_compiled(model: PreTrainedModel) -> bool:
    """Has ``compile_layers`` been called?"""
    return model in _COMPILED


def compiled_runner(recompute: bool) -> Runner:
    """What runs the layers of such models, in the form that recomputes or in that which doesn't."""
    return _compile(recomputed if recompute else plain, BACKEND)


@cache
def _compile(run: Runner, backend: str) -> Runner:
    """Layers are arguments, so that the code compiled for one serves those shaped like it."""
    compiled = torch.compile(run, dynamic=True, backend=backend)

    def call(layer: nn.Module, *args: Any, **kwargs: Any) -> Any:
        # The epsilon of a norm never changes: let it be a constant, no tensor on the host.
        with torch._dynamo.config.patch(specialize_float=True):
            return compiled(layer, *args, **kwargs)

    return call
