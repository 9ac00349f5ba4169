"""Drawing tokens on the device: by kernels that read the logits once, without sorting."""

from __future__ import annotations

import torch
from torch import Tensor

from ponder.generate.sampling import draw
from ponder.types import Sampling

BLOCK = 1024
"""Logits per block of the two-level search."""

RANGE = 64.0
"""Tokens this many nats below the most likely one (1e-28 times its probability) are never kept by
top-p or top-k."""

ROUNDS = 7
"""Of 16 floors each: the last interval is 64 / 16**7 = 2e-7 nats wide."""


def draw_on_device(logits: Tensor, uniform: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """``sampling.draw``: by kernels on CUDA, but for temperature 0, which is an argmax."""
    if not logits.is_cuda or sampling.temperature == 0:
        return draw(logits, uniform, sampling)
    return draw_by_kernels(logits, uniform, sampling)


def draw_by_kernels(logits: Tensor, uniform: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """What ``sampling.draw`` does, for temperatures above 0.

    With top-p and top-k, tokens within 2e-7 nats of the last one kept are kept as well.

    Args:
        logits: [N, V] float32, contiguous.
        uniform: [N] float32 in [0, 1).

    Returns:
        tokens [N] int64 and logprobs [N] float32, of the distribution without top-p and top-k.
    """
    inverse = 1.0 / sampling.temperature
    tops, sums = _block_sums(logits, inverse)
    if sampling.top_p == 1 and not sampling.top_k:
        return _invert(logits, tops, sums, uniform, inverse)
    kept = _drop_unlikely(logits, tops, sampling)
    tokens, _ = _invert(kept, *_block_sums(kept, inverse), uniform, inverse)
    at_token = logits.gather(1, tokens.unsqueeze(1)).squeeze(1) * inverse
    return tokens, at_token - (tops + sums.log()).logsumexp(1)


def _block_sums(logits: Tensor, inverse_temperature: float) -> tuple[Tensor, Tensor]:
    """[N, blocks] each: the largest of a block's scaled logits, its sum of exponentials."""
    from ponder.generate.device import draw_kernels

    num_rows, size = logits.shape
    num_blocks = -(-size // BLOCK)
    tops, sums = torch.empty(2, num_rows, num_blocks, dtype=torch.float32, device=logits.device)
    draw_kernels.block_sums[(num_rows, num_blocks)](
        logits, tops, sums, inverse_temperature, size, num_blocks, BLOCK=BLOCK
    )
    return tops, sums


def _invert(
    logits: Tensor, tops: Tensor, sums: Tensor, uniform: Tensor, inverse_temperature: float
) -> tuple[Tensor, Tensor]:
    from ponder.generate.device import draw_kernels

    num_rows, size = logits.shape
    num_blocks = tops.shape[1]
    tokens = torch.empty(num_rows, dtype=torch.int64, device=logits.device)
    logprobs = torch.empty(num_rows, dtype=torch.float32, device=logits.device)
    draw_kernels.invert_cdf[(num_rows,)](
        logits, tops, sums, uniform, tokens, logprobs, inverse_temperature, size, num_blocks,
        BLOCK=BLOCK, BLOCKS_PAD=_next_power_of_2(num_blocks),
    )  # fmt: skip
    return tokens, logprobs


def _drop_unlikely(logits: Tensor, tops: Tensor, sampling: Sampling) -> Tensor:
    from ponder.generate.device import draw_kernels

    num_rows, size = logits.shape
    kept = torch.empty_like(logits)
    draw_kernels.drop_unlikely[(num_rows,)](
        logits, kept, tops, 1.0 / sampling.temperature, sampling.top_p,
        float(min(sampling.top_k, size)), size, tops.shape[1],
        HAS_TOP_P=sampling.top_p < 1, HAS_TOP_K=0 < sampling.top_k < size, RANGE=RANGE, WAYS=16,
        ROUNDS=ROUNDS, BLOCK=512, BLOCKS_PAD=_next_power_of_2(tops.shape[1]), num_warps=8,
    )  # fmt: skip
    return kept


def _next_power_of_2(number: int) -> int:
    return 1 << (number - 1).bit_length()
