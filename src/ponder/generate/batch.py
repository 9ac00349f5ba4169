"""Sequences on their way, and the batch of those that are decoded together."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ponder.generate.attention import attend_by_matmul, layer_number
from ponder.generate.bags import BagAttention
from ponder.generate.native import attend_natively, native_kernel
from ponder.generate.pages import PAGE_TOKENS, PagePool, SharedPrefix, pages_for
from ponder.types import FinishReason, Prompt

ROWS_MULTIPLE = 16
"""Batches are padded to a multiple of this: few distinct shapes, whose kernels are kept."""

MIN_ROOM = 4
"""Free places that every sequence has when a batch is put together."""


@dataclass(slots=True, eq=False)
class PromptPages:
    """The keys and values of a prompt, all its tokens but the last, once for its whole group."""

    prompt: Prompt
    prefix: SharedPrefix
    """What all prompts have in common; its pages are not this prompt's to give back."""
    num_waiting: int
    """Completions that still need the prompt."""
    own: list[int] = field(default_factory=list)

    @property
    def num_cached(self) -> int:
        return len(self.prompt.token_ids) - 1

    def release(self, pool: PagePool) -> None:
        """One completion is done; the last one gives the pages back."""
        self.num_waiting -= 1
        if self.num_waiting == 0:
            pool.give(self.own)


@dataclass(slots=True, eq=False)
class Sequence:
    """One completion on its way."""

    group: PromptPages
    sample_index: int
    key: int
    """Of its random stream."""
    limit: int
    """Of tokens generated."""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    text: str | None = None
    """Set early only where a stop string ended it."""

    @property
    def next_input(self) -> int:
        return self.token_ids[-1] if self.token_ids else self.group.prompt.token_ids[-1]

    @property
    def room(self) -> int:
        return len(self.pages) * PAGE_TOKENS - len(self.token_ids)

    def release(self, pool: PagePool) -> None:
        pool.give(self.pages)
        self.pages = []
        self.group.release(pool)


class DecodeBatch:
    """Sequences that take one token each per step, as tensors. Also the engine's decode pass.

    It stays as it is for ``steps_left`` steps at most; then, or when sequences have finished or
    wait to come in, a new one is put together from the sequences themselves.

    A sequence's columns are the tokens of its prompt's pages, then of its own pages: column
    ``page * PAGE_TOKENS + place``. Its own first token is the last token of the prompt. ``bias`` is
    0 for a column that it may see and minus infinity elsewhere.
    """

    def __init__(self, rows: list[Sequence], pool: PagePool, longest: int) -> None:
        short = [row for row in rows if row.room < MIN_ROOM]
        for row, page in zip(short, pool.take(len(short)), strict=True):
            row.pages.append(page)
        self.rows = rows
        self._longest = longest
        self.steps_left = min(row.room for row in rows)
        self._pool = pool
        self._bags: dict[tuple[int, ...], BagAttention] = {}
        self._in_float32_on_cpu = pool.device.type == "cpu" and pool.dtype is torch.float32
        self._build(rows)

    def _build(self, rows: list[Sequence]) -> None:
        num_pad = -len(rows) % ROWS_MULTIPLE
        lists = [row.group.prefix.pages + row.group.own + row.pages for row in rows]
        width = max(len(pages) for pages in lists)
        table = [pages + [0] * (width - len(pages)) for pages in lists] + [[0] * width] * num_pad
        numbers = [
            (
                row.next_input,
                row.group.num_cached,
                len(row.token_ids),
                pages_for(row.group.num_cached) * PAGE_TOKENS,
                row.key,
                1,
            )
            for row in rows
        ] + [(0,) * 6] * num_pad
        device = self._pool.device
        self._page_table = torch.tensor(table, device=device)
        columns = torch.tensor(numbers, device=device).t().contiguous()
        tokens, cached, self.lengths, first_own, self.keys, self._stride = columns
        self.tokens = tokens.unsqueeze(1)
        self.positions = (cached + self.lengths).unsqueeze(1)
        self._column = first_own + self.lengths
        place = torch.arange(width * PAGE_TOKENS, device=device)
        seen = place < cached.unsqueeze(1)
        seen |= (place >= first_own.unsqueeze(1)) & (place < self._column.unsqueeze(1))
        bias = torch.zeros(seen.shape, dtype=torch.float32, device=device)
        self._bias = bias.masked_fill_(~seen, -torch.inf)
        self._row = torch.arange(len(seen), device=device)

    def begin_step(self) -> None:
        """Find the place of each sequence's new key and value, and let it be seen."""
        page = self._page_table.gather(1, (self._column // PAGE_TOKENS).unsqueeze(1))
        self._page = page.squeeze(1)
        self._place = self._column % PAGE_TOKENS
        self._bias[self._row, self._column] = 0.0

    def end_step(self, tokens: Tensor) -> None:
        """Move on by one token: ``tokens`` [N] int64 are the next inputs."""
        self.tokens = tokens.unsqueeze(1)
        self.positions += self._stride.unsqueeze(1)
        self.lengths += self._stride
        self._column += self._stride
        self.steps_left -= 1

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        layer = layer_number(module, window, self._longest)
        keys, values = self._pool.layer(layer, key, value)
        new = (key.squeeze(2).to(keys.dtype), value.squeeze(2).to(values.dtype))
        out = self._attend(query.squeeze(2).to(keys.dtype), new, (keys, values), scale)
        return out.to(query.dtype).unsqueeze(1)

    def _attend(
        self, query: Tensor, new: tuple[Tensor, Tensor], cache: tuple[Tensor, Tensor], scale: float
    ) -> Tensor:
        """Store ``new`` in ``cache``, then [N, heads, E]: in the fastest way that there is."""
        keys, values = cache
        where = (self._page, self._place)
        kernel = native_kernel(keys.shape[2], values.shape[3]) if self._in_float32_on_cpu else None
        if kernel is not None:
            table, bias = self._page_table, self._bias
            return attend_natively(kernel, query, new, cache, table, where, bias, scale)
        keys[self._page, :, :, self._place] = new[0]
        values[self._page, :, self._place] = new[1]
        bias = self._bias.unsqueeze(1)
        if not self._in_float32_on_cpu:
            return attend_by_matmul(query, keys, values, self._page_table, bias, scale)
        shape = (query.shape[1], *keys.shape[1:3])
        if shape not in self._bags:
            self._bags[shape] = BagAttention(self._page_table, query.shape[1], keys)
        return self._bags[shape].attend(query, keys, values, bias, scale)
