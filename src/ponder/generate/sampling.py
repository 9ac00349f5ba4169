"""Drawing tokens: a random stream per sequence, inverse-CDF sampling, log-probabilities."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch.nn import functional as F

from ponder.types import Sampling

BLOCK = 64
"""Tokens per block of the two-level search."""

_BELOW_1 = 1 - 2.0**-24
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64


def stream_key(seed: int, problem_id: str, sample_index: int) -> int:
    """The int64 that names the random stream of one completion."""
    text = f"{seed}/{sample_index}/{problem_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


def uniforms(keys: Tensor, positions: Tensor) -> Tensor:
    """Uniform float32 numbers in [0, 1): a pure function of (key, position).

    The counter-based generator SplitMix64 (Steele, Lea, Flood 2014): state key + (position + 1) *
    golden gamma, through its finaliser; the top 24 bits become the number, exactly.

    Args:
        keys: [N] int64, see ``stream_key``.
        positions: [N] int64, the index of the token within its completion.
    """
    z = keys + (positions + 1) * _GOLDEN
    z = (z ^ _shift_right(z, 30)) * _MIX_1
    z = (z ^ _shift_right(z, 27)) * _MIX_2
    z = z ^ _shift_right(z, 31)
    return _shift_right(z, 40).to(torch.float32) * 2.0**-24


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Logical shift of int64 (torch's own is arithmetic)."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """One token per row and its log-probability.

    The token is the first whose cumulative probability exceeds ``uniform``; for temperature 0 it
    is the most likely one. The log-probability is of the distribution with the temperature applied
    (1 where it is 0) and without top-p and top-k, in nats.

    Args:
        logits: [N, V], any float dtype.
        uniform: [N] float32 in [0, 1).

    Returns:
        tokens [N] int64 and logprobs [N] float32.
    """
    scaled = logits.float()
    if sampling.temperature not in (0.0, 1.0):
        scaled = scaled / sampling.temperature
    probs = scaled.softmax(-1)
    if sampling.temperature == 0:
        tokens = scaled.argmax(-1, keepdim=True)
    elif sampling.top_p < 1 or sampling.top_k > 0:
        tokens = _draw_truncated(probs, uniform, sampling)
    else:
        tokens = _invert(probs, uniform)
    # The log of a float32 probability is as exact as log_softmax, for all but tokens of
    # probability below 1e-38, which are not drawn.
    return tokens.squeeze(-1), probs.gather(-1, tokens).squeeze(-1).log()


def _invert(probs: Tensor, uniform: Tensor) -> Tensor:
    """[N, 1]: the first index whose cumulative sum exceeds uniform * total. [N, V] need not sum
    to one. In two levels, since a running sum is slow: find the block, then the place in it."""
    num_rows, size = probs.shape
    whole = F.pad(probs, (0, -size % BLOCK)) if size % BLOCK else probs
    blocks = whole.view(num_rows, -1, BLOCK)
    ends = blocks.sum(-1).cumsum(-1)
    target = uniform.unsqueeze(-1) * ends[:, -1:]
    block = torch.searchsorted(ends, target, right=True).clamp_(max=ends.shape[1] - 1)
    inside = blocks[torch.arange(num_rows, device=probs.device), block.squeeze(1)].cumsum(-1)
    # Rounding must not carry the target past the block's end, onto a token of probability 0.
    target = torch.minimum(target - F.pad(ends, (1, 0)).gather(1, block), inside[:, -1:] * _BELOW_1)
    place = torch.searchsorted(inside, target, right=True).clamp_(max=BLOCK - 1)
    return (block * BLOCK + place).clamp_(max=size - 1)


def _draw_truncated(probs: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """Like ``_invert`` on the ``top_k`` most likely tokens, and of those on the smallest set whose
    share reaches ``top_p`` (ties: the lower id first)."""
    ordered, ids = probs.sort(dim=-1, descending=True, stable=True)
    if 0 < sampling.top_k < probs.shape[-1]:
        ordered, ids = ordered[:, : sampling.top_k], ids[:, : sampling.top_k]
    cumulative = ordered.cumsum(-1)
    kept = torch.ones_like(ordered)
    kept[:, 1:] = cumulative[:, :-1] < sampling.top_p * cumulative[:, -1:]
    mask = torch.zeros_like(probs).scatter_(-1, ids, kept)
    return _invert(probs * mask, uniform)
