"""Finding the decoder layers inside a transformers model."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from ponder.errors import PonderError


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The list of ``model``'s decoder layers.

    Raises:
        PonderError: there is no list of ``num_hidden_layers`` modules, or more than one.
    """
    wanted = model.config.num_hidden_layers
    lists = [m for m in model.base_model.children() if isinstance(m, nn.ModuleList)]
    found = [layers for layers in lists if len(layers) == wanted]
    if len(found) != 1:
        fix = f"no list of its {wanted} decoder layers was found in it: use another model"
        raise PonderError("model", model.config.model_type, fix)
    return found[0]
