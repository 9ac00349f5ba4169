"""The clear version of a decode step's attention, for any device: what the kernels compute."""

from __future__ import annotations

import torch
from torch import Tensor

from ponder.generate.pages import PAGE_TOKENS


def decode_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_rows: Tensor,
    value_rows: Tensor,
    page_table: Tensor,
    prefix: Tensor,
    own: Tensor,
    active: Tensor,
    scale: float,
    window: int,
) -> Tensor:
    """See ``launch.decode_attention``; here the pages come as one row per token.

    Args:
        key: [N, kv_heads, 1, key_dim], and value: [N, kv_heads, 1, value_dim], of the new token.
        key_rows: [pages * PAGE_TOKENS, kv_heads, key_dim]; value_rows: the same, value_dim wide.
            With latent attention they share memory, and ``value`` is a part of ``key``.

    Returns:
        [N, heads, 1, value_dim].
    """
    num_rows, heads = query.shape[:2]
    table, prefix, own = page_table[:num_rows].long(), prefix[:num_rows], own[:num_rows]
    first_own = (prefix + PAGE_TOKENS - 1) // PAGE_TOKENS * PAGE_TOKENS
    new_column = (first_own + own).unsqueeze(1)
    new_page = (new_column // PAGE_TOKENS).clamp(max=table.shape[1] - 1)  # of rows that are over
    new_row = table.gather(1, new_page) * PAGE_TOKENS + new_column % PAGE_TOKENS
    is_active = active[:num_rows].bool()
    value_rows[new_row[is_active, 0]] = value[is_active, :, 0]
    key_rows[new_row[is_active, 0]] = key[is_active, :, 0]

    columns = torch.arange(table.shape[1] * PAGE_TOKENS, device=query.device)
    rows = table[:, columns // PAGE_TOKENS] * PAGE_TOKENS + columns % PAGE_TOKENS
    in_prefix = columns < prefix[:, None]
    position = torch.where(in_prefix, columns, columns - first_own[:, None] + prefix[:, None])
    seen = in_prefix | ((columns >= first_own[:, None]) & (columns <= new_column))
    seen &= position > (prefix + own)[:, None] - window
    groups = heads // key.shape[1]
    keys = key_rows[rows].transpose(1, 2).repeat_interleave(groups, 1)
    # What lies in places that nobody wrote may be nan, and 0 * nan is nan.
    values = value_rows[rows].masked_fill(~seen[:, :, None, None], 0.0)
    values = values.transpose(1, 2).repeat_interleave(groups, 1)
    scores = (query @ keys.transpose(2, 3)).float() * scale
    weights = scores.masked_fill(~seen[:, None, None], -torch.inf).softmax(-1)
    return weights.to(values.dtype) @ values
