"""Log-probabilities and entropies from hidden states, without ever holding all the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def chunked_logprobs(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
) -> tuple[Tensor, Tensor]:
    """log softmax((hidden @ weight.T + bias) / temperature) at the targets, and its entropy.

    Logits exist for ``chunk_tokens`` tokens at a time, in the forward pass and again in the
    backward pass, which recomputes them. Logits, log-probabilities and gradient sums are float32
    whatever the inputs (float64 for float64 inputs).

    Args:
        hidden: [N, H], the states that predict the targets.
        weight: [V, H], the language-model head.
        bias: [V] or None.
        targets: [N] token ids.
        temperature: divides the logits, as the sampler does; greater than 0.
        chunk_tokens: bounds memory to about two chunk_tokens x V float32 buffers; the result
            changes by rounding at most.

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
    """With P = softmax: d logprob / d logits = (onehot - P) / temperature, built anew per chunk."""

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
        num_tokens = len(targets)
        logprobs = hidden.new_empty(num_tokens, dtype=_wide(hidden.dtype))
        entropy = torch.empty_like(logprobs)
        log_normaliser = torch.empty_like(logprobs)
        for start in range(0, num_tokens, chunk_tokens):
            part = slice(start, start + chunk_tokens)
            logits = _logits(hidden[part], weight, bias, temperature)
            at_target = logits.gather(1, targets[part, None]).squeeze(1)
            top = logits.amax(1, keepdim=True)
            shifted = logits.sub_(top)
            exponential = shifted.exp()
            total = exponential.sum(1)
            normaliser = total.log() + top.squeeze(1)
            log_normaliser[part] = normaliser
            logprobs[part] = at_target - normaliser
            # entropy = log Z - E[logit], both relative to the largest logit.
            entropy[part] = total.log() - exponential.mul_(shifted).sum(1) / total
        ctx.save_for_backward(hidden, weight, bias, targets, log_normaliser)
        ctx.temperature, ctx.chunk_tokens = temperature, chunk_tokens
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, log_normaliser = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        # The scale of a token's gradient goes onto its row of hidden (H numbers), not onto its
        # row of probabilities (V numbers).
        scale = (grads[0] / ctx.temperature)[:, None]
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = _wide_zeros(weight) if needs_weight else None
        grad_bias = _wide_zeros(bias) if needs_bias else None
        for start in range(0, len(targets), ctx.chunk_tokens):
            part = slice(start, start + ctx.chunk_tokens)
            delta = _logits(hidden[part], weight, bias, ctx.temperature)
            delta.sub_(log_normaliser[part, None]).exp_()  # P
            delta.scatter_add_(1, targets[part, None], delta.new_full((len(delta), 1), -1.0))
            if grad_hidden is not None:
                grad_hidden[part] = _matmul(delta.to(weight.dtype), weight).mul_(-scale[part])
            if grad_weight is not None:
                scaled = (hidden[part] * -scale[part]).to(hidden.dtype)
                _add_matmul(grad_weight, delta.to(hidden.dtype).t(), scaled)
            if grad_bias is not None:
                grad_bias.sub_(delta.t() @ scale[part, 0])
        return grad_hidden, _like(grad_weight, weight), _like(grad_bias, bias), None, None, None


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _wide_zeros(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter, dtype=_wide(parameter.dtype))


def _like(gradient: Tensor | None, parameter: Tensor) -> Tensor | None:
    return None if gradient is None else gradient.to(parameter.dtype)


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    """[n, V] in float32 or float64, over the temperature; a new buffer that may be overwritten."""
    logits = _matmul(hidden, weight.t())
    if bias is not None:
        logits.add_(bias)
    return logits if temperature == 1.0 else logits.div_(temperature)


def _matmul(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, summed and returned in float32 (products of bfloat16 are exact in it)."""
    wide = _wide(left.dtype)
    if left.dtype is wide:
        return left @ right
    if left.is_cuda:
        return torch.mm(left, right, out_dtype=wide)
    return left.to(wide) @ right.to(wide)


def _add_matmul(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, in the (wide) type of ``total``."""
    if left.dtype is total.dtype:
        total.addmm_(left, right)
    else:
        total.add_(_matmul(left, right))
