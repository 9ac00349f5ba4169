"""The kernels as torch operators: opaque to torch.compile, launched from a CUDA graph or not."""

from __future__ import annotations

import torch
from torch import Tensor

from ponder.generate.pages import PAGE_TOKENS

HEAD_BLOCK = 16
"""Fewest rows of a tensor-core product; query heads of a key head are padded to it."""

MIN_SPLIT = 256
"""Columns that are worth a program of their own."""

SAMPLE_BLOCK = 1024
"""Logits per block of the two-level search."""


@torch.library.custom_op("ponder::decode_attention", mutates_args=())
def decode_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pages: Tensor,
    page_table: Tensor,
    prefix: Tensor,
    own: Tensor,
    active: Tensor,
    scale: float,
    window: int,
    splits: int,
    value_dim: int,
    is_latent: bool,
) -> Tensor:
    """Attention of one new token per sequence over its pages, which take in its key and value.

    Args:
        query: [N, heads, 1, key_dim]; key: [N, kv_heads, 1, key_dim]; value: [N, kv_heads, 1,
            value_dim]; any strides between rows and heads.
        pages: [2] int64, the addresses of the layer's keys and values (see ``KvCache``): they are
            written, and are no arguments of this operator, because they must be free to move.
        page_table: [rows, width] int32; prefix, own, active: [rows] int64; rows >= N.
        window: tokens that a token sees, itself included.
        splits: parts of a sequence that may be computed side by side, a power of 2.
        is_latent: ``value`` is ignored, the first ``value_dim`` numbers of the keys are the values.

    Returns:
        [N, heads, 1, value_dim]; rows that are not active hold anything.
    """
    import triton
    import triton.language as tl

    from ponder.generate.device import kernels

    num_rows, heads, _, key_dim = query.shape
    kv_heads = key.shape[1]
    blocks = -(-(heads // kv_heads) // HEAD_BLOCK)
    out = query.new_empty(num_rows, heads, 1, value_dim)
    parts = (num_rows * splits * heads) if splits > 1 else 1
    partial = torch.empty(parts * value_dim, dtype=torch.float32, device=query.device)
    partial_lse = torch.empty(parts, dtype=torch.float32, device=query.device)
    value_pad = triton.next_power_of_2(value_dim)
    block = 64 if key_dim <= 128 else 32
    exact = query.dtype is torch.float32
    dtype = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
    kernels.decode_attention[(num_rows, kv_heads * blocks, splits)](
        query, key, value, pages, page_table, prefix, own, active, out, partial, partial_lse,
        scale, window,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1), value.stride(0),
        value.stride(1), page_table.stride(0),
        DTYPE=dtype[query.dtype], HEADS=heads, KV_HEADS=kv_heads, HEAD_BLOCK=HEAD_BLOCK,
        KEY_DIM=key_dim, KEY_PAD=triton.next_power_of_2(key_dim), VALUE_DIM=value_dim,
        VALUE_PAD=value_pad, VALUE_STRIDE=key_dim if is_latent else value_dim,
        IS_LATENT=is_latent, PAGE=PAGE_TOKENS, BLOCK=block, SPLITS=splits, MIN_SPLIT=MIN_SPLIT,
        PRECISION="ieee" if exact else "tf32", num_warps=4, num_stages=1 if exact else 3,
    )  # fmt: skip
    if splits > 1:
        kernels.merge_splits[(num_rows, heads)](
            partial, partial_lse, prefix, own, active, out, window,
            HEADS=heads, HEADS_PAD=triton.next_power_of_2(heads), VALUE_DIM=value_dim,
            VALUE_PAD=value_pad, PAGE=PAGE_TOKENS, BLOCK=block, SPLITS=splits,
            MIN_SPLIT=MIN_SPLIT, num_warps=2,
        )  # fmt: skip
    return out


@decode_attention.register_fake
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pages: Tensor,
    page_table: Tensor,
    prefix: Tensor,
    own: Tensor,
    active: Tensor,
    scale: float,
    window: int,
    splits: int,
    value_dim: int,
    is_latent: bool,
) -> Tensor:
    return query.new_empty(query.shape[0], query.shape[1], 1, value_dim)


def draw_by_kernels(logits: Tensor, uniform: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """``sampling.draw`` for temperatures above 0 without top-p and top-k, reading logits once.

    Args:
        logits: [N, V] float32, contiguous.
        uniform: [N] float32 in [0, 1).

    Returns:
        tokens [N] int64 and logprobs [N] float32.
    """
    import triton

    from ponder.generate.device import kernels

    num_rows, size = logits.shape
    num_blocks = -(-size // SAMPLE_BLOCK)
    tops, sums = torch.empty(2, num_rows, num_blocks, dtype=torch.float32, device=logits.device)
    kernels.block_sums[(num_rows, num_blocks)](
        logits, tops, sums, 1.0 / temperature, size, num_blocks, BLOCK=SAMPLE_BLOCK
    )
    tokens = torch.empty(num_rows, dtype=torch.int64, device=logits.device)
    logprobs = torch.empty(num_rows, dtype=torch.float32, device=logits.device)
    kernels.invert_cdf[(num_rows,)](
        logits, tops, sums, uniform, tokens, logprobs, 1.0 / temperature, size, num_blocks,
        BLOCK=SAMPLE_BLOCK, BLOCKS_PAD=triton.next_power_of_2(num_blocks),
    )  # fmt: skip
    return tokens, logprobs
