"""What the engine must know of a model before its first step, found by trying one token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ponder.generate.attention import engine_mode
from ponder.generate.device.cache import KvLayout
from ponder.generate.device.latent import latent_of, watching_latents
from ponder.generate.run import check_every_layer_attended


@dataclass(frozen=True, slots=True)
class Facts:
    """``layouts`` of the layers in order; ``plain_head``: the logits are the head's product."""

    layouts: tuple[KvLayout, ...]
    plain_head: bool


class _ProbePass:
    """Notes the shape of each layer's keys and values, and attends to nothing but the token."""

    longest = 1

    def __init__(self) -> None:
        self.found: dict[int, tuple[nn.Module, KvLayout]] = {}

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        latent = latent_of(module)
        layout = KvLayout(key.shape[1], key.shape[3], value.shape[3])
        if latent is not None:
            _, kept, mixed = latent.absorb(query, key)
            layout = KvLayout(1, kept.shape[3], mixed.shape[3], is_latent=True)
        layer: Any = module.layer_idx
        self.found[int(layer)] = (module, layout)
        return value.repeat_interleave(query.shape[1] // value.shape[1], 1).transpose(1, 2)


def probe(model: Any) -> Facts:
    """Run one token through ``model``.

    Raises:
        PonderError: a layer without plain attention.
    """
    probing = _probe(model)
    layouts = tuple(layout for _, (_, layout) in sorted(probing.found.items()))
    return Facts(layouts, _has_plain_head(model))


def attention_modules(model: Any, num_layers: int) -> list[nn.Module]:
    """The modules that attend, in the order of layers. The same for each call of a model."""
    found = [m for m in model.modules() if isinstance(getattr(m, "layer_idx", None), int)]
    by_layer = {int(module.layer_idx): module for module in found if "o_proj" in module._modules}
    if sorted(by_layer) != list(range(num_layers)):
        by_layer = {layer: module for layer, (module, _) in _probe(model).found.items()}
    return [by_layer[layer] for layer in range(num_layers)]


def _probe(model: Any) -> _ProbePass:
    probing = _ProbePass()
    ids = torch.zeros(1, 1, dtype=torch.int64, device=model.get_input_embeddings().weight.device)
    with torch.inference_mode(), engine_mode(model), watching_latents(model):
        model.base_model(input_ids=ids, position_ids=ids, use_cache=False, engine_pass=probing)
    check_every_layer_attended(model, len(probing.found))
    return probing


def _has_plain_head(model: Any) -> bool:
    """Whether the head gets the hidden states as they are, and the logits are what it returns.

    It is made to return large numbers: a soft cap would not show in those of a random model.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        return False
    weight = model.get_input_embeddings().weight
    ids = torch.ones(1, 1, dtype=torch.int64, device=weight.device)
    inputs = {"input_ids": ids, "position_ids": ids, "use_cache": False}
    said = torch.linspace(-100, 100, len(head.weight), device=weight.device).to(weight.dtype)
    heard: list[Tensor] = []

    def answer(_module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        heard.append(args[0])
        return said.expand_as(output)

    hook = head.register_forward_hook(answer)
    try:
        with torch.inference_mode(), engine_mode(model):
            hidden = model.base_model(**inputs, engine_pass=_ProbePass()).last_hidden_state
            logits = model(**inputs, engine_pass=_ProbePass()).logits
            same = all(torch.allclose(hidden, each, rtol=1e-2, atol=1e-3) for each in heard)
            return bool(heard) and same and torch.equal(logits[0, 0].to(said.dtype), said)
    finally:
        hook.remove()
