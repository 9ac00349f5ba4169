"""Log-probabilities and entropies from hidden states, without ever holding all the logits."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ponder.algo import logit_passes
from ponder.algo.head import (
    add_matmul,
    head_logits,
    vocabulary_parts,
    wide_matmul,
    wide_type,
    wide_zeros,
)


def chunked_logprobs(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
) -> tuple[Tensor, Tensor]:
    """log softmax((hidden @ weight.T + bias) / temperature) at the targets, and its entropy.

    At most ``chunk_tokens`` x V logits exist at a time: those of some tokens in the forward pass;
    in the backward pass, which computes them again, those of all tokens for some of the vocabulary,
    so that each row of the head's gradient is complete at once. Logits, log-probabilities and sums
    are float32 whatever the inputs (float64 for float64 inputs).

    Args:
        hidden: [N, H], the states that predict the targets.
        weight: [V, H], the language-model head.
        bias: [V] or None.
        targets: [N] token ids.
        temperature: divides the logits, as the sampler does; greater than 0.
        chunk_tokens: bounds memory to about two chunk_tokens x V float32 buffers (on CUDA one and
            a half); the result changes by rounding at most.

    Returns:
        logprobs [N] (differentiable in hidden, weight and bias) and entropies [N] (not
        differentiable), in nats.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be greater than 0, not {temperature}")
    result: tuple[Tensor, Tensor] = _ChunkedLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, temperature, chunk_tokens
    )
    return result


class _ChunkedLogprobs(torch.autograd.Function):
    """With P = softmax: d logprob / d logits = (onehot - P) / temperature, built anew in pieces."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: float,
        chunk_tokens: int,
    ) -> tuple[Tensor, Tensor]:
        passes = _passes(hidden)
        results = hidden.new_empty(3, len(targets), dtype=wide_type(hidden.dtype))
        for start in range(0, len(targets), chunk_tokens):
            part = slice(start, start + chunk_tokens)
            logits = head_logits(hidden[part], weight, bias)
            summary = passes.summarise(logits, targets[part], temperature)
            for result, values in zip(results, summary, strict=True):
                result[part] = values
        logprobs, entropy, log_normaliser = results.unbind()
        ctx.save_for_backward(hidden, weight, bias, targets, log_normaliser)
        ctx.temperature, ctx.chunk_tokens = temperature, chunk_tokens
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, log_normaliser = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        passes = _passes(hidden)
        # The scale of a token's gradient goes onto its row of hidden (H numbers), not onto its
        # row of probabilities (V numbers).
        scale = -(grads[0] / ctx.temperature)[:, None]
        scaled = (hidden * scale).to(hidden.dtype)
        grad_hidden = wide_zeros(hidden) if needs_hidden else None
        grad_weight = torch.empty_like(weight) if needs_weight else None
        grad_bias = torch.empty_like(bias) if needs_bias else None
        for part in vocabulary_parts(len(weight), len(targets), ctx.chunk_tokens):
            logits = head_logits(hidden, weight[part], None if bias is None else bias[part])
            delta = passes.subtract_onehot(
                logits, targets, log_normaliser, part.start, ctx.temperature, hidden.dtype
            )
            del logits
            if grad_hidden is not None:
                add_matmul(grad_hidden, delta, weight[part])
            if grad_weight is not None:
                grad_weight[part] = wide_matmul(delta.t(), scaled)
            if grad_bias is not None:
                grad_bias[part] = (delta.to(scale.dtype).t() @ scale).squeeze(1)
        if grad_hidden is not None:
            grad_hidden = grad_hidden.mul_(scale).to(hidden.dtype)
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _passes(hidden: Tensor) -> ModuleType:
    if hidden.is_cuda and hidden.dtype is not torch.float64:
        from ponder.algo import logit_kernels

        return logit_kernels
    return logit_passes
