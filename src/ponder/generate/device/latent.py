"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434 section 2.1): caching its latent.

transformers expands the latent to keys and values of every head before it calls attention. The
engine keeps the latent c and the shared rotated key instead, and moves the expansion W over to the
query and to the output: with k = W_k c, q k = (W_k^T q) c; with v = W_v c, sum p v = W_v sum p c.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ponder.errors import PonderError
from ponder.models.linear import OneDNNLinear

ATTRIBUTE = "ponder_latent"


class Latent:
    """The latent side of one attention layer. ``module`` is transformers' MLA of DeepSeek-V3."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._nope = int(module.qk_nope_head_dim)
        self._last: Tensor | None = None

    def watch(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        """A forward hook of the norm of the latent: [B, T, rank]."""
        self._last = output

    def of_tokens(self, key: Tensor) -> Tensor:
        """What is kept of the tokens of this pass: [B, 1, T, rank + rotated].

        Args:
            key: [B, heads, T, nope + rotated], expanded; all heads share the rotated part.
        """
        assert self._last is not None
        latent = self._last.reshape(key.shape[0], 1, key.shape[2], -1)
        return torch.cat([latent, key[:, :1, :, self._nope :]], -1)

    def absorb(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query [B, heads, T, rank + rotated], key [B, 1, T, the same], value [B, 1, T, rank]."""
        by_key, _ = self._expansion()
        plain, rotated = torch.split(query, [self._nope, query.shape[3] - self._nope], -1)
        query = torch.cat([torch.einsum("bhtn,hnr->bhtr", plain, by_key), rotated], -1)
        key = self.of_tokens(key)
        return query, key, key[..., : by_key.shape[2]]

    def expand_output(self, mixed: Tensor) -> Tensor:
        """[B, heads, T, value] of latents mixed by attention, [B, heads, T, rank]."""
        _, by_value = self._expansion()
        return torch.einsum("bhtr,hvr->bhtv", mixed, by_value)

    def expand(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Keys [K, heads, nope + rotated] and values [K, heads, value] of [K, rank + rotated]."""
        by_key, by_value = self._expansion()
        latent, rotated = torch.split(kept, [by_key.shape[2], kept.shape[1] - by_key.shape[2]], -1)
        keys = torch.einsum("kr,hnr->khn", latent, by_key)
        keys = torch.cat([keys, rotated[:, None].expand(-1, len(by_key), -1)], -1)
        return keys, torch.einsum("kr,hvr->khv", latent, by_value)

    def _expansion(self) -> tuple[Tensor, Tensor]:
        """W_k [heads, nope, rank] and W_v [heads, value, rank]."""
        weight = self._weight()
        by_head = weight.view(self._module.num_heads, -1, weight.shape[1])
        by_key, by_value = torch.split(by_head, [self._nope, by_head.shape[1] - self._nope], 1)
        return by_key, by_value

    def _weight(self) -> Tensor:
        """[heads * (nope + value), rank]: what the expansion does, with adapters if it has any."""
        linear = self._module.kv_b_proj
        if type(linear) in (nn.Linear, OneDNNLinear):
            return linear.weight  # type: ignore[no-any-return]
        assert self._last is not None
        unit = torch.eye(self._last.shape[-1], dtype=self._last.dtype, device=self._last.device)
        product: Tensor = linear(unit)
        return product.t().contiguous()


def latent_of(module: nn.Module) -> Latent | None:
    """The latent side of a layer inside ``watching_latents``; None for other attention."""
    found: Latent | None = module.__dict__.get(ATTRIBUTE)
    return found


@contextmanager
def watching_latents(model: PreTrainedModel) -> Iterator[None]:
    """Inside, the model's latent-attention layers (if any) hand their latent to the engine."""
    if getattr(model.config, "kv_lora_rank", None) is None:
        yield
        return
    modules: list[Any] = [m for m in model.modules() if "kv_a_layernorm" in m._modules]
    if any("kv_b_proj" not in m._modules for m in modules):
        fix = "its latent attention is not DeepSeek-V3's: use another model or another generator"
        raise PonderError("model", model.config.model_type, fix)
    hooks = []
    for module in modules:
        latent = Latent(module)
        module.__dict__[ATTRIBUTE] = latent
        hooks.append(module.kv_a_layernorm.register_forward_hook(latent.watch))
    try:
        yield
    finally:
        for module, hook in zip(modules, hooks, strict=True):
            hook.remove()
            del module.__dict__[ATTRIBUTE]
