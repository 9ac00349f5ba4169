"""Triton: sequences with the same prompt attend to its pages together. Clear: ``reference``."""

from __future__ import annotations

import triton
import triton.language as tl

from ponder.generate.device.attention_kernels import attend_to, cached_at, load_cached, load_vectors
from ponder.generate.device.dependent_kernels import let_next_start, wait_for_previous


@triton.jit  # type: ignore[untyped-decorator]
def prompt_attention(  # type: ignore[no-untyped-def]
    query,
    pages,
    page_table,
    prefix_lengths,
    runs,
    cos,
    sin,
    partial,
    partial_lse,
    scale,
    query_row,
    query_head,
    rope_row,
    table_row,
    DTYPE: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    ROWS_PAD: tl.constexpr,
    KEY_DIM: tl.constexpr,
    KEY_PAD: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK: tl.constexpr,
    ROTATED: tl.constexpr,
    DEPENDENT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One program: a run of sequences with the same prompt, one key head, the prompt's columns.

    Each page is read once for the whole run. Writes the mixed values and the base-2 logarithm of
    the sum of exponentials for ``decode_attention`` to go on from. Grid: (rows, kv_heads).
    """
    wait_for_previous(DEPENDENT)  # first: who starts early may read what this kernel may
    let_next_start(DEPENDENT)
    row = tl.program_id(0)
    kv_head = tl.program_id(1)
    run = tl.load(runs + row)
    if run < 2:
        return
    prefix = tl.load(prefix_lengths + row)
    group: tl.constexpr = HEADS // KV_HEADS
    places = tl.arange(0, ROWS_PAD)
    member = places // group
    ok = member < run
    in_row = kv_head * group + places % group
    dims = tl.arange(0, KEY_PAD)
    value_dims = tl.arange(0, VALUE_PAD)
    start = query + ((row + member) * query_row + in_row * query_head)[:, None]
    there = ok[:, None] & (dims < KEY_DIM)[None, :]
    angle = ((row + member) * rope_row)[:, None]
    q = load_vectors(start, dims[None, :], there, cos + angle, sin + angle, KEY_DIM, ROTATED)
    keys, values = cached_at(pages, DTYPE), cached_at(pages + 1, DTYPE)
    log2_scale = scale * 1.4426950408889634
    top = tl.full([ROWS_PAD], -1e30, tl.float32)
    total = tl.zeros([ROWS_PAD], tl.float32)
    mixed = tl.zeros([ROWS_PAD, VALUE_PAD], tl.float32)
    for first in range(0, prefix, BLOCK):
        columns = first + tl.arange(0, BLOCK)
        seen = columns < prefix
        page = tl.load(page_table + row * table_row + columns // PAGE, mask=seen, other=0)
        vector = (page.to(tl.int64) * PAGE + columns % PAGE) * KV_HEADS + kv_head
        k = load_cached(keys, vector * KEY_DIM, seen, dims, KEY_DIM)
        v = load_cached(values, vector * VALUE_DIM, seen, value_dims, VALUE_DIM)
        top, total, mixed = attend_to(q, k, v, seen, top, total, mixed, log2_scale, PRECISION)
    mixed = mixed / total[:, None]
    head = (row + member) * HEADS + in_row
    there = ok[:, None] & (value_dims < VALUE_DIM)[None, :]
    tl.store(partial + head[:, None] * VALUE_DIM + value_dims[None, :], mixed, mask=there)
    tl.store(partial_lse + head, top + tl.log2(total), mask=ok)
