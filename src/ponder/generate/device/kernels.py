"""Triton kernels of a decode step's attention over pages. The clear version: ``reference``."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def prompt_attention(  # type: ignore[no-untyped-def]
    query,
    pages,
    page_table,
    prefix_lengths,
    runs,
    partial,
    partial_lse,
    scale,
    query_row,
    query_head,
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
    PRECISION: tl.constexpr,
):
    """One program: a run of sequences with the same prompt, one key head, the prompt's columns.

    Each page is read once for the whole run. Writes the mixed values and the base-2 logarithm of
    the sum of exponentials for ``decode_attention`` to go on from. Grid: (rows, kv_heads).
    """
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
    head = (row + member) * HEADS + kv_head * group + places % group
    dims = tl.arange(0, KEY_PAD)
    value_dims = tl.arange(0, VALUE_PAD)
    places_in_block = tl.arange(0, BLOCK)
    start = (row + member) * query_row + (kv_head * group + places % group) * query_head
    q = tl.load(
        query + start[:, None] + dims[None, :],
        mask=ok[:, None] & (dims < KEY_DIM)[None, :],
        other=0.0,
    )
    keys = tl.multiple_of(tl.load(pages).to(tl.pointer_type(DTYPE)), 16)
    values = tl.multiple_of(tl.load(pages + 1).to(tl.pointer_type(DTYPE)), 16)
    log2_scale = scale * 1.4426950408889634
    top = tl.full([ROWS_PAD], -1e30, tl.float32)
    total = tl.zeros([ROWS_PAD], tl.float32)
    mixed = tl.zeros([ROWS_PAD, VALUE_PAD], tl.float32)
    for first in range(0, prefix, BLOCK):
        columns = first + places_in_block
        seen = columns < prefix
        page = tl.load(page_table + row * table_row + columns // PAGE, mask=seen, other=0)
        token = page.to(tl.int64) * PAGE + columns % PAGE
        k = tl.load(
            keys + (token * KV_HEADS + kv_head)[:, None] * KEY_DIM + dims[None, :],
            mask=seen[:, None] & (dims < KEY_DIM)[None, :],
            other=0.0,
        )
        v = tl.load(
            values + (token * KV_HEADS + kv_head)[:, None] * VALUE_DIM + value_dims[None, :],
            mask=seen[:, None] & (value_dims < VALUE_DIM)[None, :],
            other=0.0,
        )
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * log2_scale
        scores = tl.where(seen[None, :], scores, -1e30)
        higher = tl.maximum(top, tl.max(scores, 1))
        weights = tl.exp2(scores - higher[:, None])
        fade = tl.exp2(top - higher)
        total = total * fade + tl.sum(weights, 1)
        mixed = mixed * fade[:, None]
        mixed = tl.dot(weights.to(v.dtype), v, mixed, input_precision=PRECISION)
        top = higher
    mixed = mixed / total[:, None]
    there = ok[:, None] & (value_dims < VALUE_DIM)[None, :]
    tl.store(partial + head[:, None] * VALUE_DIM + value_dims[None, :], mixed, mask=there)
    tl.store(partial_lse + head, top + tl.log2(total), mask=ok)


@triton.jit  # type: ignore[untyped-decorator]
def decode_attention(  # type: ignore[no-untyped-def]
    query,
    new_key,
    new_value,
    pages,
    page_table,
    prefix_lengths,
    own_lengths,
    active,
    runs,
    of_prompt,
    of_prompt_lse,
    out,
    partial,
    partial_lse,
    scale,
    window,
    query_row,
    query_head,
    key_row,
    key_head,
    value_row,
    value_head,
    table_row,
    DTYPE: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HEAD_BLOCK: tl.constexpr,
    KEY_DIM: tl.constexpr,
    KEY_PAD: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    VALUE_STRIDE: tl.constexpr,
    IS_LATENT: tl.constexpr,
    PAGE: tl.constexpr,
    SPLITS: tl.constexpr,
    MIN_SPLIT: tl.constexpr,
    HAS_RUNS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One program: one sequence, some query heads of one key head, one part of its columns.

    Split 0 also writes the new token's key and value to its page and attends to them. A column is
    a place in the sequence's pages: the prompt's, a gap to the end of its last page, its own. With
    ``HAS_RUNS``, ``prompt_attention`` has done the prompt of rows whose run is not 1.
    Grid: (rows, kv_heads * blocks of heads, splits).
    """
    row = tl.program_id(0)
    blocks: tl.constexpr = (HEADS // KV_HEADS + HEAD_BLOCK - 1) // HEAD_BLOCK
    kv_head = tl.program_id(1) // blocks
    block = tl.program_id(1) % blocks
    split = tl.program_id(2)
    if tl.load(active + row) == 0:
        return
    prefix = tl.load(prefix_lengths + row)
    own = tl.load(own_lengths + row)
    first_own = (prefix + PAGE - 1) // PAGE * PAGE
    end = first_own + own
    oldest = tl.maximum(prefix + own - window + 1, 0)
    start = tl.where(oldest < prefix, oldest, first_own + oldest - prefix) // PAGE
    is_shared = False
    if HAS_RUNS:
        is_shared = tl.load(runs + row) != 1
        start = tl.where(is_shared, first_own // PAGE, start)
    num_pages = tl.cdiv(end, PAGE) - start
    num_splits = tl.minimum(tl.maximum(num_pages // MIN_SPLIT, 1), SPLITS)
    length = tl.maximum(tl.cdiv(num_pages, num_splits), 1)
    num_splits = tl.maximum(tl.cdiv(num_pages, length), 1)  # none of them empty: 0 / 0 is nan
    if split >= num_splits:
        return
    start = start + split * length
    stop = tl.minimum(start + length, tl.cdiv(end, PAGE))

    in_group = block * HEAD_BLOCK + tl.arange(0, HEAD_BLOCK)
    head = kv_head * (HEADS // KV_HEADS) + in_group
    head_ok = in_group < HEADS // KV_HEADS
    dims = tl.arange(0, KEY_PAD)
    value_dims = tl.arange(0, VALUE_PAD)
    places = tl.arange(0, PAGE)
    q = tl.load(
        query + row * query_row + head[:, None] * query_head + dims[None, :],
        mask=head_ok[:, None] & (dims < KEY_DIM)[None, :],
        other=0.0,
    )
    # Without the promise of aligned addresses, loads would be of two bytes each.
    keys = tl.multiple_of(tl.load(pages).to(tl.pointer_type(DTYPE)), 16)
    values = tl.multiple_of(tl.load(pages + 1).to(tl.pointer_type(DTYPE)), 16)
    log2_scale = scale * 1.4426950408889634

    top = tl.full([HEAD_BLOCK], -1e30, tl.float32)
    total = tl.zeros([HEAD_BLOCK], tl.float32)
    mixed = tl.zeros([HEAD_BLOCK, VALUE_PAD], tl.float32)
    for number in range(start, stop):
        columns = number * PAGE + places
        position = tl.where(columns < prefix, columns, columns - first_own + prefix)
        seen = (columns < end) & ((columns < prefix) | (columns >= first_own))
        seen = seen & (position >= oldest)
        page = tl.load(page_table + row * table_row + number)
        token = page.to(tl.int64) * PAGE + places
        k = tl.load(
            keys + (token * KV_HEADS + kv_head)[:, None] * KEY_DIM + dims[None, :],
            mask=seen[:, None] & (dims < KEY_DIM)[None, :],
            other=0.0,
        )
        v = tl.load(
            values + (token * KV_HEADS + kv_head)[:, None] * VALUE_STRIDE + value_dims[None, :],
            mask=seen[:, None] & (value_dims < VALUE_DIM)[None, :],
            other=0.0,
        )
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * log2_scale
        scores = tl.where(seen[None, :], scores, -1e30)
        higher = tl.maximum(top, tl.max(scores, 1))
        weights = tl.exp2(scores - higher[:, None])
        weights = tl.where(seen[None, :], weights, 0.0)
        fade = tl.exp2(top - higher)
        total = total * fade + tl.sum(weights, 1)
        mixed = mixed * fade[:, None]
        mixed = tl.dot(weights.to(v.dtype), v, mixed, input_precision=PRECISION)
        top = higher

    if split == 0:
        page = tl.load(page_table + row * table_row + end // PAGE)
        token = page.to(tl.int64) * PAGE + end % PAGE
        k_new = tl.load(
            new_key + row * key_row + kv_head * key_head + dims, mask=dims < KEY_DIM, other=0.0
        )
        if IS_LATENT:
            v_new = tl.load(
                new_key + row * key_row + kv_head * key_head + value_dims,
                mask=value_dims < VALUE_DIM,
                other=0.0,
            )
        else:
            v_new = tl.load(
                new_value + row * value_row + kv_head * value_head + value_dims,
                mask=value_dims < VALUE_DIM,
                other=0.0,
            )
        if block == 0:
            tl.store(
                keys + (token * KV_HEADS + kv_head) * KEY_DIM + dims, k_new, mask=dims < KEY_DIM
            )
            if not IS_LATENT:
                tl.store(
                    values + (token * KV_HEADS + kv_head) * VALUE_STRIDE + value_dims,
                    v_new,
                    mask=value_dims < VALUE_DIM,
                )
        score = tl.sum(q.to(tl.float32) * k_new.to(tl.float32)[None, :], 1) * log2_scale
        higher = tl.maximum(top, score)
        fade = tl.exp2(top - higher)
        weight = tl.exp2(score - higher)
        total = total * fade + weight
        mixed = mixed * fade[:, None] + weight[:, None] * v_new.to(tl.float32)[None, :]
        top = higher

        if is_shared:
            lse = tl.load(of_prompt_lse + row * HEADS + head, mask=head_ok, other=-1e30)
            prompt = tl.load(
                of_prompt + (row * HEADS + head)[:, None] * VALUE_DIM + value_dims[None, :],
                mask=head_ok[:, None] & (value_dims < VALUE_DIM)[None, :],
                other=0.0,
            )
            higher = tl.maximum(top, lse)
            fade = tl.exp2(top - higher)
            weight = tl.exp2(lse - higher)
            total = total * fade + weight
            mixed = mixed * fade[:, None] + weight[:, None] * prompt
            top = higher

    mixed = mixed / total[:, None]
    ok = head_ok[:, None] & (value_dims < VALUE_DIM)[None, :]
    place = (row * HEADS + head)[:, None] * VALUE_DIM + value_dims[None, :]
    if SPLITS == 1:
        tl.store(out + place, mixed.to(out.dtype.element_ty), mask=ok)
    else:
        if num_splits == 1:
            tl.store(out + place, mixed.to(out.dtype.element_ty), mask=ok)
        else:
            which = (row * SPLITS + split) * HEADS + head
            tl.store(partial + which[:, None] * VALUE_DIM + value_dims[None, :], mixed, mask=ok)
            tl.store(partial_lse + which, top + tl.log2(total), mask=head_ok)


@triton.jit  # type: ignore[untyped-decorator]
def merge_splits(  # type: ignore[no-untyped-def]
    partial,
    partial_lse,
    prefix_lengths,
    own_lengths,
    active,
    runs,
    out,
    window,
    HEADS: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    PAGE: tl.constexpr,
    SPLITS: tl.constexpr,
    MIN_SPLIT: tl.constexpr,
    HAS_RUNS: tl.constexpr,
):
    """Weigh the parts of ``decode_attention`` by their sums of exponentials.

    Grid: (rows, heads).
    """
    row = tl.program_id(0)
    head = tl.program_id(1)
    if tl.load(active + row) == 0:
        return
    prefix = tl.load(prefix_lengths + row)
    own = tl.load(own_lengths + row)
    first_own = (prefix + PAGE - 1) // PAGE * PAGE
    end = first_own + own
    oldest = tl.maximum(prefix + own - window + 1, 0)
    start = tl.where(oldest < prefix, oldest, first_own + oldest - prefix) // PAGE
    if HAS_RUNS:
        start = tl.where(tl.load(runs + row) != 1, first_own // PAGE, start)
    num_pages = tl.cdiv(end, PAGE) - start
    num_splits = tl.minimum(tl.maximum(num_pages // MIN_SPLIT, 1), SPLITS)
    length = tl.maximum(tl.cdiv(num_pages, num_splits), 1)
    num_splits = tl.maximum(tl.cdiv(num_pages, length), 1)
    if num_splits == 1:
        return
    splits = tl.arange(0, SPLITS)
    dims = tl.arange(0, VALUE_PAD)
    which = (row * SPLITS + splits) * HEADS + head
    there = splits < num_splits
    lse = tl.load(partial_lse + which, mask=there, other=-1e30)
    weights = tl.where(there, tl.exp2(lse - tl.max(lse, 0)), 0.0)
    weights = weights / tl.sum(weights, 0)
    parts = tl.load(
        partial + which[:, None] * VALUE_DIM + dims[None, :],
        mask=there[:, None] & (dims < VALUE_DIM)[None, :],
        other=0.0,
    )
    mixed = tl.sum(parts * weights[:, None], 0)
    place = (row * HEADS + head) * VALUE_DIM + dims
    tl.store(out + place, mixed.to(out.dtype.element_ty), mask=dims < VALUE_DIM)
