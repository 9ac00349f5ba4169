"""Triton: a decode step's attention over pages. The clear version: ``reference``."""

from __future__ import annotations

import triton
import triton.language as tl

from ponder.generate.device.attention_kernels import attend_to, cached_at, load_cached, load_vectors
from ponder.generate.device.dependent_kernels import let_next_start, wait_for_previous


@triton.jit  # type: ignore[untyped-decorator]
def _columns(  # type: ignore[no-untyped-def]
    prefix, own, run, window, PAGE: tl.constexpr, SPLITS: tl.constexpr, MIN_SPLIT: tl.constexpr
):
    """Of a sequence: (first column of its own, end of the cached ones, oldest position seen, first
    page to attend to, pages of a split, splits). ``run`` is 1 if it reads its prompt itself.

    A column is a place in the sequence's pages: the prompt's, a gap to the end of its last page,
    its own.
    """
    first_own = (prefix + PAGE - 1) // PAGE * PAGE
    end = first_own + own
    oldest = tl.maximum(prefix + own - window + 1, 0)
    start = tl.where(oldest < prefix, oldest, first_own + oldest - prefix) // PAGE
    start = tl.where(run != 1, first_own // PAGE, start)
    num_pages = tl.cdiv(end, PAGE) - start
    num_splits = tl.minimum(tl.maximum(num_pages // MIN_SPLIT, 1), SPLITS)
    length = tl.maximum(tl.cdiv(num_pages, num_splits), 1)
    num_splits = tl.maximum(tl.cdiv(num_pages, length), 1)  # none of them empty: 0 / 0 is nan
    return first_own, end, oldest, start, length, num_splits


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
    cos,
    sin,
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
    rope_row,
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
    ROTATED: tl.constexpr,
    DEPENDENT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One program: one sequence, some query heads of one key head, one part of its columns.

    Split 0 also writes the new token's key and value to its page and attends to them. With
    ``HAS_RUNS``, ``prompt_attention`` has done the prompt of rows whose run is not 1; it may still
    be at it until this one asks for what it wrote.
    Grid: (rows, kv_heads * blocks of heads, splits).
    """
    let_next_start(DEPENDENT)
    wait_for_previous(DEPENDENT and not HAS_RUNS)
    row = tl.program_id(0)
    blocks: tl.constexpr = (HEADS // KV_HEADS + HEAD_BLOCK - 1) // HEAD_BLOCK
    kv_head = tl.program_id(1) // blocks
    block = tl.program_id(1) % blocks
    split = tl.program_id(2)
    run = 1
    if HAS_RUNS:
        run = tl.load(runs + row)
    prefix = tl.load(prefix_lengths + row)
    own = tl.load(own_lengths + row)
    first_own, end, oldest, start, length, num_splits = _columns(
        prefix, own, run, window, PAGE, SPLITS, MIN_SPLIT
    )
    if (tl.load(active + row) == 0) | (split >= num_splits):
        wait_for_previous(DEPENDENT)
        return
    start = start + split * length
    stop = tl.minimum(start + length, tl.cdiv(end, PAGE))

    in_group = block * HEAD_BLOCK + tl.arange(0, HEAD_BLOCK)
    head = kv_head * (HEADS // KV_HEADS) + in_group
    head_ok = in_group < HEADS // KV_HEADS
    dims = tl.arange(0, KEY_PAD)
    value_dims = tl.arange(0, VALUE_PAD)
    cos += row * rope_row
    sin += row * rope_row
    there = head_ok[:, None] & (dims < KEY_DIM)[None, :]
    in_query = query + row * query_row + head[:, None] * query_head
    q = load_vectors(in_query, dims[None, :], there, cos, sin, KEY_DIM, ROTATED)
    keys, values = cached_at(pages, DTYPE), cached_at(pages + 1, DTYPE)
    log2_scale = scale * 1.4426950408889634

    top = tl.full([HEAD_BLOCK], -1e30, tl.float32)
    total = tl.zeros([HEAD_BLOCK], tl.float32)
    mixed = tl.zeros([HEAD_BLOCK, VALUE_PAD], tl.float32)
    for number in range(start, stop):
        columns = number * PAGE + tl.arange(0, PAGE)
        position = tl.where(columns < prefix, columns, columns - first_own + prefix)
        seen = (columns < end) & ((columns < prefix) | (columns >= first_own))
        seen = seen & (position >= oldest)
        page = tl.load(page_table + row * table_row + number)
        vector = (page.to(tl.int64) * PAGE + tl.arange(0, PAGE)) * KV_HEADS + kv_head
        k = load_cached(keys, vector * KEY_DIM, seen, dims, KEY_DIM)
        v = load_cached(values, vector * VALUE_STRIDE, seen, value_dims, VALUE_DIM)
        top, total, mixed = attend_to(q, k, v, seen, top, total, mixed, log2_scale, PRECISION)

    if split == 0:
        new_key += row * key_row + kv_head * key_head
        k_new = load_vectors(new_key, dims, dims < KEY_DIM, cos, sin, KEY_DIM, ROTATED)
        new_value += row * value_row + kv_head * value_head
        as_value = new_key if IS_LATENT else new_value
        is_value = value_dims < VALUE_DIM
        v_new = load_vectors(as_value, value_dims, is_value, cos, sin, VALUE_DIM, False)
        if block == 0:
            page = tl.load(page_table + row * table_row + end // PAGE)
            vector = (page.to(tl.int64) * PAGE + end % PAGE) * KV_HEADS + kv_head
            tl.store(keys + vector * KEY_DIM + dims, k_new, mask=dims < KEY_DIM)
            if not IS_LATENT:
                place = values + vector * VALUE_STRIDE + value_dims
                tl.store(place, v_new, mask=is_value)
        score = tl.sum(q.to(tl.float32) * k_new.to(tl.float32)[None, :], 1) * log2_scale
        higher = tl.maximum(top, score)
        fade = tl.exp2(top - higher)
        weight = tl.exp2(score - higher)
        total = total * fade + weight
        mixed = mixed * fade[:, None] + weight[:, None] * v_new.to(tl.float32)[None, :]
        top = higher
        wait_for_previous(DEPENDENT)
        if run != 1:
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
    else:
        wait_for_previous(DEPENDENT)

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
    DEPENDENT: tl.constexpr,
):
    """Weigh the parts of ``decode_attention`` by their sums of exponentials.

    Grid: (rows, heads).
    """
    let_next_start(DEPENDENT)
    wait_for_previous(DEPENDENT)
    row = tl.program_id(0)
    head = tl.program_id(1)
    run = 1
    if HAS_RUNS:
        run = tl.load(runs + row)
    prefix = tl.load(prefix_lengths + row)
    own = tl.load(own_lengths + row)
    _, _, _, _, _, num_splits = _columns(prefix, own, run, window, PAGE, SPLITS, MIN_SPLIT)
    if (tl.load(active + row) == 0) | (num_splits == 1):
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
