"""A product with what stands around it in a decoder layer. The clear version: ``product``."""

from __future__ import annotations

import triton
import triton.language as tl

from ponder.generate.device.dependent_kernels import let_next_start, wait_for_previous


@triton.jit
def _prefetch(pointers):  # type: ignore[no-untyped-def]
    """Bring the lines of memory at these addresses to the second-level cache; waits for nothing."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;",
        "=r,l",
        [pointers],
        dtype=tl.int32,
        is_pure=False,
        pack=1,
    )


@triton.jit  # type: ignore[untyped-decorator]
def joined_product(  # type: ignore[no-untyped-def]
    x,
    norm_weight,
    weight,
    bias,
    residual,
    y,
    epsilon,
    num_rows,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
    NORM: tl.constexpr,
    BIAS: tl.constexpr,
    GATED: tl.constexpr,
    ADD: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
    BLOCK_DEPTH: tl.constexpr,
    LINE: tl.constexpr,
    DEPENDENT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One program: a block of y [num_rows, WIDTH].

    x [num_rows, DEPTH] times weight [WIDTH, DEPTH] (``GATED``: gates, then as many others). With
    ``NORM`` the weights of the norm meet x on its way to the product, and its root mean square,
    summed up beside, divides the result. ``LINE``: numbers in a line of the cache.
    Grid: (blocks of columns, blocks of rows).
    """
    columns = tl.program_id(0) * BLOCK_WIDTH + tl.arange(0, BLOCK_WIDTH)
    rows = tl.program_id(1) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    row_ok, column_ok = rows < num_rows, columns < WIDTH
    depths = tl.arange(0, BLOCK_DEPTH)
    weights = weight + columns[:, None] * DEPTH
    let_next_start(DEPENDENT)
    if DEPENDENT:  # weights were there before, all else may just be being written
        lines = tl.arange(0, BLOCK_DEPTH // LINE) * LINE
        for first in range(0, DEPTH, BLOCK_DEPTH):
            _prefetch(weights + first + lines[None, :])
            if GATED:
                _prefetch(weights + WIDTH * DEPTH + first + lines[None, :])
    wait_for_previous(DEPENDENT)
    mixed = tl.zeros([BLOCK_ROWS, BLOCK_WIDTH], tl.float32)
    other = tl.zeros([BLOCK_ROWS, BLOCK_WIDTH], tl.float32)
    squares = tl.zeros([BLOCK_ROWS], tl.float32)
    for first in range(0, DEPTH, BLOCK_DEPTH):
        deep = first + depths
        a = tl.load(x + rows[:, None] * DEPTH + deep[None, :], mask=row_ok[:, None], other=0.0)
        b = tl.load(weights + deep[None, :], mask=column_ok[:, None], other=0.0)
        if NORM:
            wide = a.to(tl.float32)
            squares += tl.sum(wide * wide, 1)
            a = (wide * tl.load(norm_weight + deep).to(tl.float32)[None, :]).to(a.dtype)
        mixed = tl.dot(a, tl.trans(b), mixed, input_precision=PRECISION)
        if GATED:
            place = weights + WIDTH * DEPTH + deep[None, :]
            c = tl.load(place, mask=column_ok[:, None], other=0.0)
            other = tl.dot(a, tl.trans(c), other, input_precision=PRECISION)
    if NORM:
        inverse = tl.rsqrt(squares / DEPTH + epsilon)
        mixed *= inverse[:, None]
        other *= inverse[:, None]
    if BIAS:
        mixed += tl.load(bias + columns, mask=column_ok, other=0.0).to(tl.float32)[None, :]
    if GATED:
        if BIAS:
            other += tl.load(bias + WIDTH + columns, mask=column_ok, other=0.0).to(tl.float32)
        mixed = mixed * tl.sigmoid(mixed) * other
    place = rows[:, None] * WIDTH + columns[None, :]
    there = row_ok[:, None] & column_ok[None, :]
    if ADD:
        mixed += tl.load(residual + place, mask=there, other=0.0).to(tl.float32)
    tl.store(y + place, mixed.to(y.dtype.element_ty), mask=there)
