"""The attention of the local engine: transformers' modules call it, it reads and writes pages.

It is registered with transformers' attention interface under ``ENGINE`` and gets, as the keyword
argument ``engine_pass``, the pass (a prefill, or a decode step) that the call is part of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel

from ponder.errors import PonderError
from ponder.generate.pages import PAGE_TOKENS, PagePool, SharedPrefix
from ponder.models.linear import packed_weights

ENGINE = "ponder_engine"


class EnginePass(Protocol):
    """One forward pass of the model as attention sees it."""

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        """Store ``key`` and ``value`` [B, kv_heads, T, D]; attend ``query`` [B, heads, T, D].

        ``module`` is the layer that attends; ``window`` the tokens that a token sees, itself
        included (None: all before it). Returns [B, T, heads, value_dim].
        """
        ...


def _engine_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    engine_pass: EnginePass | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The signature that transformers asks for. What it can't honour is an error."""
    if engine_pass is None:
        raise PonderError(
            "model",
            type(module).__name__,
            "its layers do not hand arguments on to their attention, which the local engine needs: "
            "use another model or another generator",
        )
    if softcap is not None or s_aux is not None:
        raise PonderError(
            "model",
            type(module).__name__,
            "the local engine has no soft-capped scores or attention sinks: use a model without "
            "them or another generator",
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return engine_pass.attend(module, query, key, value, scale, sliding_window), None


AttentionInterface.register(ENGINE, _engine_attention)


@contextmanager
def engine_mode(model: PreTrainedModel) -> Iterator[None]:
    """Inside, ``model`` is in eval mode and attends through the engine; after, it is as before."""
    attention, training = model.config._attn_implementation, model.training
    model.eval()
    model.set_attn_implementation(ENGINE)
    if model.config._attn_implementation != ENGINE:
        raise PonderError(
            "model",
            model.config.model_type,
            "this architecture does not use transformers' attention interface, which the local "
            "engine needs: use another generator",
        )
    try:
        with packed_weights(model, model.get_output_embeddings()):
            yield
    finally:
        model.set_attn_implementation(attention)
        model.train(training)


class PrefillPass:
    """Prompts of similar length, side by side from the left: their keys and values go to pages.

    Args:
        pages: [B, T / PAGE_TOKENS] int64: the page of each block of tokens. Page 0 for padding.
        prefix: tokens that come before all of these prompts, already computed.
    """

    def __init__(self, pool: PagePool, pages: Tensor, prefix: SharedPrefix, longest: int) -> None:
        self._longest = longest
        self._pool = pool
        self._pages = pages.reshape(-1)
        self._prefix = prefix
        num_tokens = pages.shape[1] * PAGE_TOKENS
        before = len(prefix.pages) * PAGE_TOKENS
        visible = torch.ones(num_tokens, before + num_tokens, dtype=torch.bool, device=pool.device)
        self._visible = visible.tril(before) if before else None

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        layer = layer_number(module, window, self._longest)
        keys, values = self._pool.layer(layer, key, value)
        size, heads, _, key_dim = key.shape
        blocks = key.reshape(size, heads, -1, PAGE_TOKENS, key_dim)
        keys[self._pages] = blocks.permute(0, 2, 1, 4, 3).flatten(0, 1).to(keys.dtype)
        blocks = value.reshape(size, heads, -1, PAGE_TOKENS, value.shape[3])
        values[self._pages] = blocks.transpose(1, 2).flatten(0, 1).to(values.dtype)
        if self._visible is not None:
            before, before_values = self._prefix.layer(layer, keys, values)
            before = before.transpose(1, 2).expand(size, -1, -1, -1).to(key.dtype)
            before_values = before_values.expand(size, -1, -1, -1).to(key.dtype)
            key = torch.cat([before, key], dim=2)
            value = torch.cat([before_values, value], dim=2)
        out = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=self._visible,
            is_causal=self._visible is None,
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out.transpose(1, 2)


def layer_number(module: nn.Module, window: int | None, longest: int) -> int:
    """The layer's number. PonderError where its window is shorter than sequences may become."""
    if window is not None and window < longest:
        raise PonderError(
            "model",
            type(module).__name__,
            f"its window of {window} tokens is shorter than the sequences ({longest} tokens), "
            "which the local engine takes on a GPU only: lower sampling.max_completion_tokens",
        )
    layer = module.layer_idx
    assert isinstance(layer, int)
    return layer


def attend_by_matmul(
    query: Tensor, keys: Tensor, values: Tensor, page_table: Tensor, bias: Tensor, scale: float
) -> Tensor:
    """Attention of one query per sequence over its pages, in plain batched products.

    Args:
        query: [N, heads, D].
        keys: [pages, kv_heads, D, PAGE_TOKENS].
        values: [pages, kv_heads, PAGE_TOKENS, E].
        page_table: [N, C] int64.
        bias: [N, 1, C * PAGE_TOKENS] float32, added to the scaled scores.

    Returns:
        [N, heads, E] of the dtype of ``query``.
    """
    num_rows, num_heads, _ = query.shape
    grouped = query.view(num_rows, 1, keys.shape[1], -1, query.shape[-1])
    scores = (grouped @ keys[page_table]).permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)
    weights = (scores.float() * scale + bias).softmax(-1).to(query.dtype)
    paged = weights.view(num_rows, keys.shape[1], -1, page_table.shape[1], PAGE_TOKENS)
    out = (paged.permute(0, 3, 1, 2, 4) @ values[page_table]).sum(1)
    return out.reshape(num_rows, num_heads, -1)
