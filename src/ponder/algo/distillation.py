"""Reverse KL to a teacher over the whole vocabulary, without ever holding all the logits.

    D(t) = KL(p_student || p_teacher) = sum_v p(v) (log p(v) - log q(v)),   at each token t
    d D / d logit(v) = p(v) (log p(v) - log q(v) - D) / temperature

On the student's own samples this is on-policy distillation: GKD (arXiv 2306.13649, with the
divergence reversed and lambda = 1; the gradient does not flow through the sampling, as there) and
MiniLLM (2306.08543, which has a gradient through the sampling as well). The expectation over a
token's vocabulary is exact, so its variance is less than that of the sampled token's log ratio,
which Thinking Machines' "On-policy distillation" (2025) uses: see ``sampled_reverse_kl``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ponder.algo.head import (
    add_matmul,
    head_logits,
    vocabulary_parts,
    wide_matmul,
    wide_type,
    wide_zeros,
)
from ponder.algo.importance import ImportanceStats, importance_weights


class Head(NamedTuple):
    """The states that predict N tokens and the head that makes logits of them."""

    hidden: Tensor
    """[N, H]."""
    weight: Tensor
    """[V, H]."""
    bias: Tensor | None
    """[V] or None."""

    def logits(self, tokens: slice, vocabulary: slice) -> Tensor:
        """[n, v], float32 or wider; may be overwritten."""
        bias = None if self.bias is None else self.bias[vocabulary]
        return head_logits(self.hidden[tokens], self.weight[vocabulary], bias)


class Divergence(NamedTuple):
    """[N] each, in nats. Only ``kl`` is differentiable, in the student's three."""

    kl: Tensor
    """KL(student || teacher) over the whole vocabulary."""
    logprobs: Tensor
    """The student's log-probabilities of the targets."""
    entropy: Tensor
    """The student's."""
    agrees: Tensor
    """1 where both models have the same most probable token."""


def chunked_reverse_kl(
    student: Head,
    teacher: Head,
    targets: Tensor,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
) -> Divergence:
    """KL(softmax(student / temperature) || softmax(teacher / temperature)) at every token.

    At most ``chunk_tokens`` x V logits of each model exist at a time, as in ``chunked_logprobs``.
    Where one vocabulary is padded (Qwen's sizes differ between models of one tokenizer) only the
    columns that both heads have take part. Computed in float32 (float64 for float64 inputs).

    Args:
        student: differentiable.
        teacher: of the same tokens; another H and another type are fine.
        targets: [N] token ids.
        temperature: divides the logits of both models, as the student's sampler does.
        chunk_tokens: bounds memory; the result changes by rounding at most.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be greater than 0, not {temperature}")
    if len(student.hidden) != len(teacher.hidden):
        raise ValueError(f"{len(student.hidden)} student's tokens, {len(teacher.hidden)} teacher's")
    return Divergence(
        *_ChunkedReverseKL.apply(  # type: ignore[no-untyped-call]
            student.hidden,
            student.weight,
            student.bias,
            teacher,
            targets,
            temperature,
            chunk_tokens,
        )
    )


class _ChunkedReverseKL(torch.autograd.Function):
    """Keeps three numbers a token; the backward pass builds the logits anew, in pieces of V."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        teacher: Head,
        targets: Tensor,
        temperature: float,
        chunk_tokens: int,
    ) -> tuple[Tensor, ...]:
        student = Head(hidden, weight, bias)
        vocabulary = slice(0, min(len(weight), len(teacher.weight)))
        results = hidden.new_empty(6, len(targets), dtype=wide_type(hidden.dtype))
        for start in range(0, len(targets), chunk_tokens):
            part = slice(start, start + chunk_tokens)
            ours = student.logits(part, vocabulary)
            theirs = teacher.logits(part, vocabulary).to(ours.dtype)
            results[:, part] = _compare(ours, theirs, targets[part], temperature)
        kl, logprobs, entropy, agrees, ours_z, theirs_z = results.unbind()
        ctx.save_for_backward(hidden, weight, bias, *teacher, kl, ours_z, theirs_z)
        ctx.temperature, ctx.chunk_tokens = temperature, chunk_tokens
        ctx.mark_non_differentiable(logprobs, entropy, agrees)
        return kl, logprobs, entropy, agrees

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, *rest = ctx.saved_tensors
        student, teacher, (kl, ours_z, theirs_z) = (
            Head(hidden, weight, bias),
            Head(*rest[:3]),
            rest[3:],
        )
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        scale = (grads[0] / ctx.temperature)[:, None]
        scaled = (hidden * scale).to(hidden.dtype)
        grad_hidden = wide_zeros(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        grad_bias = torch.zeros_like(bias) if needs_bias and bias is not None else None
        common = min(len(weight), len(teacher.weight))
        for part in vocabulary_parts(common, len(hidden), ctx.chunk_tokens):
            ours = _log_softmax(student.logits(slice(None), part), ours_z, ctx.temperature)
            theirs = _log_softmax(teacher.logits(slice(None), part), theirs_z, ctx.temperature)
            delta = ours.exp().mul_(ours.sub_(theirs.to(ours.dtype)).sub_(kl[:, None]))
            del ours, theirs
            if grad_bias is not None:
                grad_bias[part] = (delta.t() @ scale).squeeze(1)
            delta = delta.to(hidden.dtype)
            if grad_hidden is not None:
                add_matmul(grad_hidden, delta, weight[part])
            if grad_weight is not None:
                grad_weight[part] = wide_matmul(delta.t(), scaled)
        if grad_hidden is not None:
            grad_hidden = grad_hidden.mul_(scale).to(hidden.dtype)
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def _compare(ours: Tensor, theirs: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """[6, n] of logits [n, V]: KL, log-probability, entropy, agreement and both log-normalisers.

    Overwrites both buffers.
    """
    agrees = ours.argmax(1) == theirs.argmax(1)
    ours_z = ours.div_(temperature).logsumexp(1)
    theirs_z = theirs.div_(temperature).logsumexp(1)
    ours.sub_(ours_z[:, None])
    theirs.sub_(theirs_z[:, None])
    logprobs = ours.gather(1, targets[:, None]).squeeze(1)
    probabilities = ours.exp()
    entropy = -(probabilities * ours).sum(1)
    kl = probabilities.mul_(ours.sub_(theirs)).sum(1)
    return torch.stack([kl, logprobs, entropy, agrees.to(kl.dtype), ours_z, theirs_z])


def _log_softmax(logits: Tensor, normaliser: Tensor, temperature: float) -> Tensor:
    return logits.div_(temperature).sub_(normaliser[:, None])


def sampled_reverse_kl(
    logprobs: Tensor,
    teacher_logprobs: Tensor,
    sampler_logprobs: Tensor,
    loss_mask: Tensor,
    cap: float,
) -> tuple[Tensor, Tensor, ImportanceStats]:
    """The estimate of the same gradient from the sampled tokens alone.

        loss(t) = w(t) sg[log p(x_t) - log q(x_t)] log p(x_t),   w = min(p / p_sampler, cap)

    whose gradient is that of D(t) in expectation over x_t (E[grad log p] = 0): REINFORCE with the
    negative log ratio as each token's own advantage and no discounting, as in Thinking Machines'
    "On-policy distillation". It needs the teacher's log-probability of one token only.

    Args:
        logprobs: [B, T], the student's, differentiable.
        teacher_logprobs, sampler_logprobs: [B, T], nats.
        loss_mask: [B, T] bool.
        cap: largest importance weight; 0 is off.

    Returns:
        The loss per token [B, T], the estimate of D per token [B, T] (detached), and the
        statistics of the weights.
    """
    now = logprobs.detach()
    estimate = (now - teacher_logprobs).masked_fill(~loss_mask, 0.0)
    weights, stats = importance_weights(now, sampler_logprobs, loss_mask, cap)
    return weights * estimate * logprobs, estimate, stats
