"""Triton kernels that draw tokens from logits. The clear version: ``sampling.draw``."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def block_sums(  # type: ignore[no-untyped-def]
    logits, tops, sums, inverse_temperature, size, num_blocks, BLOCK: tl.constexpr
):
    """Of each block of logits: the largest and the sum of exponentials.

    Grid: (rows, blocks).
    """
    row = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    ids = block * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(logits + row * size + ids, mask=ids < size, other=-float("inf"))
    x = x * inverse_temperature
    top = tl.max(x, 0)
    tl.store(tops + row * num_blocks + block, top)
    top = tl.where(top == -float("inf"), 0.0, top)  # a block of tokens that can't be: sum 0
    tl.store(sums + row * num_blocks + block, tl.sum(tl.exp(x - top), 0))


@triton.jit  # type: ignore[untyped-decorator]
def invert_cdf(  # type: ignore[no-untyped-def]
    logits,
    tops,
    sums,
    uniform,
    tokens,
    logprobs,
    inverse_temperature,
    size,
    num_blocks,
    BLOCK: tl.constexpr,
    BLOCKS_PAD: tl.constexpr,
):
    """The first token whose cumulative probability exceeds ``uniform``, and its log-probability.

    In two levels, as ``sampling._invert``: the block, then the place in it. Grid: (rows,).
    """
    row = tl.program_id(0).to(tl.int64)
    blocks = tl.arange(0, BLOCKS_PAD)
    there = blocks < num_blocks
    top = tl.load(tops + row * num_blocks + blocks, mask=there, other=-float("inf"))
    highest = tl.max(top, 0)
    mass = tl.load(sums + row * num_blocks + blocks, mask=there, other=0.0)
    mass = mass * tl.exp(top - highest)
    ends = tl.cumsum(mass, 0)
    total = tl.sum(tl.where(blocks == num_blocks - 1, ends, 0.0), 0)
    target = tl.load(uniform + row) * total
    block = tl.minimum(tl.sum((ends <= target).to(tl.int32), 0), num_blocks - 1)
    before = tl.sum(tl.where(blocks == block - 1, ends, 0.0), 0)
    places = tl.arange(0, BLOCK)
    ids = block * BLOCK + places
    x = tl.load(logits + row * size + ids, mask=ids < size, other=-float("inf"))
    x = x * inverse_temperature
    inside = tl.cumsum(tl.exp(x - highest), 0)
    whole = tl.max(inside, 0)
    # Rounding must not carry the target past the block's end, onto a token of probability 0.
    target = tl.minimum(target - before, whole * 0.99999994)
    place = tl.minimum(tl.sum((inside <= target).to(tl.int32), 0), BLOCK - 1)
    chosen = tl.sum(tl.where(places == place, x, 0.0), 0)
    token = tl.minimum(block * BLOCK + place, size - 1)  # of a row of nan, too
    tl.store(tokens + row, token.to(tl.int64))
    tl.store(logprobs + row, chosen - highest - tl.log(total))


@triton.jit  # type: ignore[untyped-decorator]
def _largest_floor(  # type: ignore[no-untyped-def]
    start,
    inverse_temperature,
    size,
    highest,
    low,
    high,
    share,
    wanted,
    BY_COUNT: tl.constexpr,
    WAYS: tl.constexpr,
    ROUNDS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The largest floor in [low, high) such that the tokens at or above it are ``wanted`` (their
    number), or have ``share`` of the mass of those at or above ``low``. Each round reads the row
    once, tries ``WAYS`` floors and keeps the interval between two."""
    ways = tl.arange(0, WAYS)
    for number in tl.static_range(ROUNDS):
        floors = low + (high - low) * ways / WAYS
        sums = tl.zeros([WAYS], tl.float32)
        for first in range(0, size, BLOCK):
            ids = first + tl.arange(0, BLOCK)
            x = tl.load(start + ids, mask=ids < size, other=-float("inf")) * inverse_temperature
            weight = tl.exp(x - highest)
            if BY_COUNT:
                weight = tl.where(ids < size, 1.0, 0.0)
            sums += tl.sum(tl.where(x[None, :] >= floors[:, None], weight[None, :], 0.0), 1)
        if number == 0 and not BY_COUNT:
            wanted = share * tl.max(sums, 0)
        best = tl.max(tl.where(sums >= wanted, ways, 0), 0)
        width = (high - low) / WAYS
        low = low + width * best
        high = low + width
    return low


@triton.jit  # type: ignore[untyped-decorator]
def drop_unlikely(  # type: ignore[no-untyped-def]
    logits,
    kept,
    tops,
    inverse_temperature,
    top_p,
    top_k,
    size,
    num_blocks,
    HAS_TOP_P: tl.constexpr,
    HAS_TOP_K: tl.constexpr,
    RANGE: tl.constexpr,
    WAYS: tl.constexpr,
    ROUNDS: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCKS_PAD: tl.constexpr,
):
    """A copy of the logits with -inf for all but the ``top_k`` most likely tokens, and of those the
    most likely whose share reaches ``top_p``. Grid: (rows,)."""
    row = tl.program_id(0).to(tl.int64)
    blocks = tl.arange(0, BLOCKS_PAD)
    top = tl.load(tops + row * num_blocks + blocks, mask=blocks < num_blocks, other=-float("inf"))
    highest = tl.max(top, 0)
    start = logits + row * size
    floor = highest - RANGE
    above = highest + RANGE / 65536
    if HAS_TOP_K:
        floor = _largest_floor(
            start,
            inverse_temperature,
            size,
            highest,
            floor,
            above,
            0.0,
            top_k,
            True,
            WAYS,
            ROUNDS,
            BLOCK,
        )
    if HAS_TOP_P:
        floor = _largest_floor(
            start,
            inverse_temperature,
            size,
            highest,
            floor,
            above,
            top_p,
            0.0,
            False,
            WAYS,
            ROUNDS,
            BLOCK,
        )
    for first in range(0, size, BLOCK):
        ids = first + tl.arange(0, BLOCK)
        x = tl.load(start + ids, mask=ids < size, other=-float("inf"))
        x = tl.where(x * inverse_temperature >= floor, x, -float("inf"))
        tl.store(kept + row * size + ids, x, mask=ids < size)
