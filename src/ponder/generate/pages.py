"""The memory of keys and values: pages of 32 tokens, shared or owned, taken and given back."""

from __future__ import annotations

import torch
from torch import Tensor

PAGE_TOKENS = 32


def pages_for(num_tokens: int) -> int:
    """Pages that hold ``num_tokens`` tokens."""
    return -(-num_tokens // PAGE_TOKENS)


class PagePool:
    """Keys and values of all layers, in pages of ``PAGE_TOKENS`` tokens.

    Per layer, keys are [pages, kv_heads, head_dim, PAGE_TOKENS] (a token is a column, so that
    scores are sums of rows) and values are [pages, kv_heads, PAGE_TOKENS, head_dim] (a token is a
    row, so that outputs are sums of rows). The pool doubles when it is full. Page 0 is nobody's:
    unused places of a page table point to it. A page is cleared before it is taken for the first
    time, so that what is masked later is finite; memory that no page needs is never touched.
    """

    def __init__(self, num_pages: int, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self._capacity = num_pages + 1
        self._free = list(range(num_pages, 0, -1))
        self._num_cleared = 1

    @property
    def num_taken(self) -> int:
        return self._capacity - 1 - len(self._free)

    def take(self, count: int) -> list[int]:
        """``count`` pages, no longer free. Grows the pool if need be."""
        while len(self._free) < count:
            self._grow()
        pages = [self._free.pop() for _ in range(count)]
        used = max(pages, default=0) + 1
        if used > self._num_cleared:
            for tensor in (*self.keys.values(), *self.values.values()):
                tensor[self._num_cleared : used].zero_()
            self._num_cleared = used
        return pages

    def give(self, pages: list[int]) -> None:
        """Return pages that were taken."""
        self._free.extend(reversed(pages))

    def layer(self, index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of layer ``index``, made at first use to fit ``key`` and ``value``.

        Args:
            key: [batch, kv_heads, tokens, head_dim].
            value: the same, perhaps with another head_dim.
        """
        if index not in self.keys:
            heads, key_dim, value_dim = key.shape[1], key.shape[3], value.shape[3]
            self.keys[index] = self._new((heads, key_dim, PAGE_TOKENS))
            self.values[index] = self._new((heads, PAGE_TOKENS, value_dim))
            self.keys[index][: self._num_cleared].zero_()
            self.values[index][: self._num_cleared].zero_()
        return self.keys[index], self.values[index]

    def _grow(self) -> None:
        old, self._capacity = self._capacity, 2 * self._capacity
        self._free[:0] = range(self._capacity - 1, old - 1, -1)
        for store in (self.keys, self.values):
            for index, tensor in store.items():
                store[index] = self._new(tensor.shape[1:])
                store[index][: self._num_cleared] = tensor[: self._num_cleared]

    def _new(self, page_shape: tuple[int, ...]) -> Tensor:
        return torch.empty(self._capacity, *page_shape, dtype=self.dtype, device=self.device)


class SharedPrefix:
    """Whole pages that all prompts of a run begin with, and their keys and values in one piece."""

    def __init__(self) -> None:
        self.pages: list[int] = []
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def layer(self, index: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys [kv_heads, key_dim, P] and values [kv_heads, P, value_dim] of its P tokens.

        Args:
            keys: of the pool, at layer ``index``. values: the same.
        """
        if index not in self._layers:
            pages = torch.tensor(self.pages, device=keys.device)
            shared_keys = keys[pages].permute(1, 2, 0, 3).flatten(2)
            shared_values = values[pages].transpose(0, 1).flatten(1, 2)
            self._layers[index] = (shared_keys, shared_values)
        return self._layers[index]
