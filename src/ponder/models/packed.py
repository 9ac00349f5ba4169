"""Forward passes for training and scoring without padding, each shared prompt computed once.

An unmodified transformers decoder runs on ONE row of tokens: the unique prompts, then all
completions (``PackedLayout``). Its linear layers and norms see no padding; only attention knows
where segments begin, through an attention function registered with transformers under ``PACKED``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedConfig, PreTrainedModel

from ponder.algo.logprobs import chunked_logprobs
from ponder.errors import PonderError
from ponder.models.compiled import compiled_runner, is_compiled
from ponder.models.flash import flash_attention, flash_takes, has_kernels
from ponder.models.packed_attention import packed_attention
from ponder.models.packed_layout import PackedLayout
from ponder.models.run_layers import Runner, layers_run_by, recomputed

PACKED = "ponder_packed"


class PackedPass:
    """One forward pass of a model over a layout, as its attention layers see it."""

    def __init__(self, layout: PackedLayout, config: PreTrainedConfig) -> None:
        self.layout = layout
        self.config = config
        self.cuts = layout.cuts
        self.longest = layout.longest
        self.num_attended = 0
        """Layers that have attended so far; compiled layers don't count."""

    @contextmanager
    def attending(self) -> Iterator[None]:
        """``_packed_mode`` for one layer in the backward pass: cheap, and without its checks."""
        before = self.config._attn_implementation
        self.config._attn_implementation = PACKED
        try:
            yield
        finally:
            self.config._attn_implementation = before


def check_trainable(model: PreTrainedModel) -> None:
    """Try a few tokens: every layer attends as it must, and the logits are the head's own product.

    The trainer never calls the model's own forward pass of the head, so a model that scales or
    soft-caps its logits there (Granite, Cohere, Gemma 2) would get other log-probabilities from it.

    Raises:
        PonderError: training would compute something else than the model does.
    """
    num_tokens = model.get_input_embeddings().weight.shape[0]
    ids = [index % num_tokens for index in range(1, 5)]
    layout = PackedLayout.build([ids[:2]], [ids[2:]], [0], model.device)
    with torch.no_grad():
        completion_logprobs(model, layout, temperature=1.0, chunk_tokens=4)
        hidden = model.base_model(layout.token_ids, use_cache=False).last_hidden_state
        product = model.get_output_embeddings()(hidden).float()
        logits = model(layout.token_ids, use_cache=False).logits.float()
    if not torch.allclose(product, logits, rtol=1e-3, atol=1e-5):
        raise PonderError(
            "model",
            model.config.model_type,
            "its logits are not the plain product of its head (they are scaled or soft-capped), "
            "which training needs: use another model",
        )


def packed_hidden(model: PreTrainedModel, layout: PackedLayout, recompute: bool = False) -> Tensor:
    """The hidden states (after the last norm) that predict the completions' tokens.

    Layers run compiled after ``compile_layers(model)``.

    Args:
        model: a causal language model of transformers, any whose layers all have plain causal
            attention (full, or a sliding window no shorter than the sequences).
        layout: on the model's device.
        recompute: keep each layer's inputs and attention for the backward pass, which computes the
            rest again (without a varlen kernel, the attention too).

    Returns:
        [C, H], in the order of ``layout.targets``: the state of a prompt's last token for the
        first token of its completions, then those of the completion itself.

    Raises:
        PonderError: the model's attention is of another kind, or transformers' own gradient
            checkpointing is on, which would recompute layers outside this function.
    """
    if model.training and model.is_gradient_checkpointing:
        raise PonderError(
            "gradient_checkpointing", True, "switch it off, or put the model in eval mode"
        )
    current = PackedPass(layout, model.config)
    run = _runner(model, recompute and torch.is_grad_enabled())
    with _packed_mode(model), layers_run_by(model, run) if run else nullcontext():
        hidden: Tensor = model.base_model(
            input_ids=layout.token_ids,
            position_ids=layout.position_ids,
            use_cache=False,
            packed_pass=current,
        ).last_hidden_state
    num_layers = model.config.num_hidden_layers
    if current.num_attended != num_layers and run in (None, recomputed):
        raise _unsupported(
            model.config.model_type,
            f"only {current.num_attended} of {num_layers} layers attended",
        )
    return hidden[0].index_select(0, layout.predicting_rows)


def completion_logprobs(
    model: PreTrainedModel,
    layout: PackedLayout,
    temperature: float,
    chunk_tokens: int,
    recompute: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy of every completion token: [C] each, float32, in nats.

    See ``chunked_logprobs`` for ``temperature`` and ``chunk_tokens``, ``packed_hidden`` for
    ``recompute``; ``layout.pad`` makes [B, T] of them.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise _unsupported(model.config.model_type, "its head is no linear layer")
    hidden = packed_hidden(model, layout, recompute)
    return chunked_logprobs(
        hidden, head.weight, head.bias, layout.targets, temperature, chunk_tokens
    )


def _runner(model: PreTrainedModel, recompute: bool) -> Runner | None:
    """What runs the layers; None: they themselves."""
    # Without a varlen kernel, attention's shapes change with every layout: not worth compiling.
    if is_compiled(model) and has_kernels(model.device, model.dtype):
        return compiled_runner(recompute)
    return recomputed if recompute else None


@contextmanager
def _packed_mode(model: PreTrainedModel) -> Iterator[None]:
    """Inside, ``model`` attends through ``PACKED``; after, as before."""
    before = model.config._attn_implementation
    model.set_attn_implementation(PACKED)
    if model.config._attn_implementation != PACKED:
        raise _unsupported(model.config.model_type, "it has an attention of its own")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_pass: PackedPass | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The signature that transformers asks for: [1, heads, N, D] -> [1, N, heads, E]."""
    name = type(module).__name__
    if packed_pass is None:
        raise _unsupported(name, "its layers do not hand arguments on to their attention")
    if sliding_window is not None and sliding_window < packed_pass.longest:
        raise _unsupported(name, f"its window of {sliding_window} tokens is too short")
    if dropout:
        raise _unsupported(name, f"it has a dropout of {dropout}; put the model in eval mode")
    changing = [k for k in CHANGES_THE_SCORES if others.get(k) is not None]
    if changing:
        raise _unsupported(name, f"it passes {', '.join(changing)}")
    if not torch.compiler.is_compiling():
        packed_pass.num_attended += 1
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (t[0].transpose(0, 1) for t in (query, key, value))
    if flash_takes(q, v):
        return flash_attention(q, k, v, packed_pass.cuts, scale)[None], None
    return packed_attention(q, k, v, packed_pass.layout.buckets, scale)[None], None


CHANGES_THE_SCORES = ("softcap", "s_aux", "position_bias", "head_mask", "cache")
"""Arguments of transformers' attention functions that would change what is computed."""


def _unsupported(model: str, why: str) -> PonderError:
    return PonderError(
        "model", model, f"{why}: training needs plain causal attention in every layer"
    )


AttentionInterface.register(PACKED, _attend)
