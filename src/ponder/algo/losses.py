"""The policy-gradient surrogates, one small function each, all of one signature.

Each takes log-probabilities as they are now and as they were when the completions were sampled
(both under the trainer's own model), and gives a loss per token, to be *minimised*. Weighting
(importance.py), the KL term (kl.py) and the normalisation (normalise.py) come after.

The gradient flows only through ``logprobs``. Positions where ``loss_mask`` is False give exactly 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LossStats:
    """What clipping did, as sums that add up over microbatches (0-dim tensors, detached)."""

    num_tokens: Tensor
    """Tokens in the loss."""
    num_clipped_low: Tensor
    """Tokens at which the lower bound took effect."""
    num_clipped_high: Tensor
    """Tokens at which the upper bound took effect."""
    ratio_max: Tensor
    """Largest policy ratio (of a sequence for GSPO), before clipping."""

    def __add__(self, other: LossStats) -> LossStats:
        return LossStats(
            self.num_tokens + other.num_tokens,
            self.num_clipped_low + other.num_clipped_low,
            self.num_clipped_high + other.num_clipped_high,
            torch.maximum(self.ratio_max, other.ratio_max),
        )

    def metrics(self) -> dict[str, float]:
        num_tokens = max(float(self.num_tokens), 1.0)
        return {
            "loss/clip_low_fraction": float(self.num_clipped_low) / num_tokens,
            "loss/clip_high_fraction": float(self.num_clipped_high) / num_tokens,
            "loss/ratio_max": float(self.ratio_max),
        }


LossFunction = Callable[[Tensor, Tensor, Tensor, Tensor, float, float], tuple[Tensor, LossStats]]
"""(logprobs [B, T], old_logprobs [B, T], advantages [B], loss_mask [B, T] bool, clip_low,
clip_high) -> (loss per token [B, T], stats)."""


def clipped_ratio_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    clip_low: float,
    clip_high: float,
) -> tuple[Tensor, LossStats]:
    """GRPO and, with clip_high > clip_low, DAPO: -min(r A, clip(r, 1 - low, 1 + high) A).

    r = exp(logprobs - old_logprobs) per token. A clip_low of 1 or more never binds, as r > 0: that
    is the paper's "clip ratio 10", with which only tokens of A > 0 and r > 11 lose their gradient.

    Source: DeepSeekMath 2402.03300 eq. 3 (per token; R1v2 eq. 1 prints the sequence), DAPO
    2503.14476 eq. 8 and 10.
    """
    ratio = _log_ratio(logprobs, old_logprobs, loss_mask).exp()
    return _clipped_surrogate(ratio, advantages, loss_mask, clip_low, clip_high)


def cispo_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    clip_low: float,
    clip_high: float,
) -> tuple[Tensor, LossStats]:
    """CISPO: -stopgrad(clip(r, 1 - low, 1 + high)) A logprob: every token keeps its gradient.

    Its value is not the surrogate's (it holds log-probabilities): only its gradient has a meaning.
    Clipped counts are of tokens whose weight was cut, whatever the sign of A.

    Source: MiniMax-M1 2506.13585 eq. 4 and 5 (there only the upper bound is tuned: clip_low >= 1).
    """
    ratio = _log_ratio(logprobs, old_logprobs, loss_mask).detach().exp()
    weight = ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = -weight * advantages[:, None].to(weight.dtype) * _masked(logprobs, loss_mask)
    used = (advantages != 0)[:, None]
    low, high = (ratio < 1 - clip_low) & used, (ratio > 1 + clip_high) & used
    return _masked(loss, loss_mask), _stats(ratio, low, high, loss_mask)


def gspo_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    clip_low: float,
    clip_high: float,
) -> tuple[Tensor, LossStats]:
    """GSPO: -min(s A, clip(s, 1 - low, 1 + high) A) with s = exp(mean of log r over a sequence).

    Every token of a sequence carries its sequence's value, so that "sequence" normalisation gives
    the paper's objective: d(loss)/d(logprob_t) = -s A / length, all tokens of a sequence kept or
    clipped together. Clips are of the order of 3e-4 and 4e-4, not 0.2.

    Source: GSPO 2507.18071 eq. 5, 7 and 10.
    """
    log_ratio = _log_ratio(logprobs, old_logprobs, loss_mask)
    lengths = loss_mask.sum(-1, keepdim=True).clamp(min=1)
    ratio = (log_ratio.sum(-1, keepdim=True) / lengths).exp().expand_as(log_ratio)
    return _clipped_surrogate(ratio, advantages, loss_mask, clip_low, clip_high)


LOSSES: Mapping[str, LossFunction] = {
    "grpo": clipped_ratio_loss,
    "dapo": clipped_ratio_loss,
    "dr_grpo": clipped_ratio_loss,
    "cispo": cispo_loss,
    "gspo": gspo_loss,
}
"""By the name in ``algorithm.loss``. DAPO and Dr. GRPO have GRPO's surrogate; they differ in
their clips, advantages (advantages.py) and normalisation (normalise.py), which have own keys."""


def _clipped_surrogate(
    ratio: Tensor, advantages: Tensor, loss_mask: Tensor, clip_low: float, clip_high: float
) -> tuple[Tensor, LossStats]:
    """-min(ratio A, clip(ratio) A) per token, and where the clip took effect."""
    advantage = advantages[:, None].to(ratio.dtype)
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = -torch.minimum(ratio * advantage, clipped * advantage)
    low = (ratio < 1 - clip_low) & (advantage < 0)
    high = (ratio > 1 + clip_high) & (advantage > 0)
    return _masked(loss, loss_mask), _stats(ratio, low, high, loss_mask)


def _log_ratio(logprobs: Tensor, old_logprobs: Tensor, loss_mask: Tensor) -> Tensor:
    return _masked(logprobs - old_logprobs.detach(), loss_mask)


def _masked(values: Tensor, loss_mask: Tensor) -> Tensor:
    """0 outside the mask, NaN or not (a product with the mask would keep NaN)."""
    return values.masked_fill(~loss_mask, 0.0)


def _stats(ratio: Tensor, low: Tensor, high: Tensor, loss_mask: Tensor) -> LossStats:
    inside = ratio.detach().masked_fill(~loss_mask, 0.0)
    return LossStats(
        num_tokens=loss_mask.sum(),
        num_clipped_low=(low & loss_mask).sum(),
        num_clipped_high=(high & loss_mask).sum(),
        ratio_max=inside.max() if inside.numel() else inside.new_zeros(()),
    )
