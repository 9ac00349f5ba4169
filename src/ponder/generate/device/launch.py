"""Attention's kernels as a torch operator: opaque to torch.compile, in a CUDA graph or not."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from ponder.generate.pages import PAGE_TOKENS

HEAD_BLOCK = 16
"""Fewest rows of a tensor-core product; query heads of a key head are padded to it."""

LONGEST_RUN = 8
"""Sequences of one prompt that read its pages together."""

EVERYTHING = 2**30
"""The window of a layer that has none."""

FEW_PAGES, MANY_PAGES = 2, 8
"""Pages that are worth a program of their own: where programs are few, and where they are not."""

MANY_SPLITS = 8
"""With more splits than these, programs are few: what counts is how long the longest one waits."""


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
    runs: Tensor,
    scale: float,
    window: int,
    splits: int,
    value_dim: int,
    is_latent: bool,
    cos: Tensor | None = None,
    sin: Tensor | None = None,
) -> Tensor:
    """Attention of one new token per sequence over its pages, which take in its key and value.

    Args:
        query: [N, heads, 1, key_dim]; key: [N, kv_heads, 1, key_dim]; value: [N, kv_heads, 1,
            value_dim]; any strides between rows and heads.
        pages: [2] int64, the addresses of the layer's keys and values (see ``KvCache``): they are
            written, and are no arguments of this operator, because they must be free to move.
        page_table: [rows, width] int32; prefix, own, active, runs: [rows] int64; rows >= N. A run
            of r rows with the same prompt pages is r, then r - 1 zeros; a row alone is 1.
        window: tokens that a token sees, itself included.
        splits: parts of a sequence that may be computed side by side, a power of 2.
        is_latent: ``value`` is ignored, the first ``value_dim`` numbers of the keys are the values.
        cos, sin: [N, ..., key_dim], one vector a row, or one for all: query and key are not rotated
            yet, and are by these angles (see ``fuse.rotate_inside``).

    Returns:
        [N, heads, 1, value_dim]; rows that are not active hold anything.
    """
    import triton
    import triton.language as tl

    from ponder.generate.device import decode_kernels, prompt_kernels

    num_rows, heads, _, key_dim = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    out = query.new_empty(num_rows, heads, 1, value_dim)
    parts = _room_for(num_rows * splits * heads if splits > 1 else 1, value_dim, query.device)
    has_runs = group <= HEAD_BLOCK and window == EVERYTHING and not is_latent
    of_prompt = _room_for(num_rows * heads if has_runs else 1, value_dim, query.device)
    exact = query.dtype is torch.float32
    dtype = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
    common: dict[str, Any] = {
        "HEADS": heads, "VALUE_DIM": value_dim, "VALUE_PAD": _padded(value_dim),
        "PAGE": PAGE_TOKENS,
    }  # fmt: skip
    shape: dict[str, Any] = {
        "DTYPE": dtype[query.dtype], "KV_HEADS": kv_heads, "KEY_DIM": key_dim,
        "KEY_PAD": _padded(key_dim), "PRECISION": "ieee" if exact else "tf32",
    }  # fmt: skip
    least = MANY_PAGES if splits <= MANY_SPLITS else FEW_PAGES
    cut: dict[str, Any] = {"SPLITS": splits, "MIN_SPLIT": least, "HAS_RUNS": has_runs}
    early = _early_launch(query.device)
    angles = (query, query, 0)
    if cos is not None and sin is not None:
        angles = (cos, sin, cos.stride(0) if len(cos) > 1 else 0)
    common["DEPENDENT"], shape["ROTATED"] = bool(early), cos is not None
    is_plain = not exact and not is_latent
    if has_runs:
        prompt_kernels.prompt_attention[(num_rows, kv_heads)](
            query, pages, page_table, prefix, runs, *angles[:2], *of_prompt, scale,
            query.stride(0), query.stride(1), angles[2], page_table.stride(0),
            ROWS_PAD=triton.next_power_of_2(max(LONGEST_RUN * group, HEAD_BLOCK)),
            BLOCK=PAGE_TOKENS if exact else 2 * PAGE_TOKENS, **common, **shape,
            num_warps=4, num_stages=1 if exact else 2, **early,
        )  # fmt: skip
    decode_kernels.decode_attention[(num_rows, kv_heads * -(-group // HEAD_BLOCK), splits)](
        query, key, value, pages, page_table, prefix, own, active, runs, *angles[:2], *of_prompt,
        out, *parts, scale, window,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1), value.stride(0),
        value.stride(1), angles[2], page_table.stride(0),
        HEAD_BLOCK=HEAD_BLOCK, VALUE_STRIDE=key_dim if is_latent else value_dim,
        IS_LATENT=is_latent, **common, **shape, **cut,
        num_warps=1 if is_plain else 4, num_stages=2 if is_plain else 1, **early,
    )  # fmt: skip
    if splits > 1:
        decode_kernels.merge_splits[(num_rows, heads)](
            *parts, prefix, own, active, runs, out, window, **common, **cut, num_warps=2, **early
        )
    return out


@functools.cache
def _early_launch(device: torch.device) -> dict[str, Any]:
    """What a launch says for its kernel to start before the one ahead of it has ended, on GPUs that
    can (Hopper and later). See ``dependent_kernels``."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] < 9:
        return {}
    return {"launch_pdl": True}


def _padded(size: int) -> int:
    """The power of two that a tensor-core product needs, 16 at least."""
    return max(16, 1 << (size - 1).bit_length())


def _room_for(vectors: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """float32 for ``vectors`` partial results and their log-sums."""
    return (
        torch.empty(vectors * size, dtype=torch.float32, device=device),
        torch.empty(vectors, dtype=torch.float32, device=device),
    )


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
    runs: Tensor,
    scale: float,
    window: int,
    splits: int,
    value_dim: int,
    is_latent: bool,
    cos: Tensor | None = None,
    sin: Tensor | None = None,
) -> Tensor:
    return query.new_empty(query.shape[0], query.shape[1], 1, value_dim)
