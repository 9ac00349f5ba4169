"""Keys and values of all layers in pages on the device, and which pages are free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ponder.generate.pages import PAGE_TOKENS


@dataclass(frozen=True, slots=True)
class KvLayout:
    """What one layer keeps of a token.

    With ``is_latent`` (multi-head latent attention) it is one vector of ``key_dim`` numbers, the
    latent and the rotated part of the key, and the first ``value_dim`` of them serve as the value.
    """

    kv_heads: int
    key_dim: int
    value_dim: int
    is_latent: bool = False

    @property
    def numbers(self) -> int:
        """Per token."""
        return self.kv_heads * (self.key_dim + (0 if self.is_latent else self.value_dim))


class FreePages:
    """The numbers of free pages. Page 0 is nobody's: unused places of a page table point to it."""

    def __init__(self, num_pages: int) -> None:
        self._free = list(range(num_pages, 0, -1))
        self.capacity = num_pages

    def __len__(self) -> int:
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """``count`` pages (which must be there), no longer free."""
        assert 0 <= count <= len(self._free)
        start = len(self._free) - count
        taken = self._free[start:][::-1]
        del self._free[start:]
        return taken

    def give(self, pages: Sequence[int]) -> None:
        """Return pages that were taken."""
        self._free.extend(reversed(pages))


class KvCache:
    """Per layer keys [pages, PAGE_TOKENS, kv_heads, key_dim] and values (the same, value_dim wide).

    A decode step finds them through ``pointers`` [layers, 2] int64, device memory that outlives
    them: so a CUDA graph stays valid when the cache has been given back during training and stands
    elsewhere afterwards.
    """

    def __init__(self, layouts: Sequence[KvLayout], pointers: Tensor, dtype: torch.dtype) -> None:
        self.layouts = tuple(layouts)
        self.pointers = pointers
        self.dtype = dtype
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    @property
    def page_bytes(self) -> int:
        """Of one page, all layers together."""
        numbers = sum(layout.numbers for layout in self.layouts)
        return numbers * PAGE_TOKENS * self.dtype.itemsize

    def allocate(self, num_pages: int) -> None:
        """Take the memory of ``num_pages`` pages and of page 0. What is in it means nothing."""
        for layout in self.layouts:
            shape = (num_pages + 1, PAGE_TOKENS, layout.kv_heads)
            keys = self._new((*shape, layout.key_dim))
            self.keys.append(keys)
            latent = layout.is_latent
            self.values.append(
                keys[..., : layout.value_dim] if latent else self._new((*shape, layout.value_dim))
            )
        starts = [[k.data_ptr(), v.data_ptr()] for k, v in zip(self.keys, self.values, strict=True)]
        self.pointers.copy_(torch.tensor(starts))

    def release(self) -> None:
        """Give the memory back; ``allocate`` takes it again."""
        self.keys.clear()
        self.values.clear()

    def rows(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer with one row per token: [pages * PAGE_TOKENS, kv_heads, .].

        Row ``page * PAGE_TOKENS + place``.
        """
        return self.keys[layer].flatten(0, 1), self.values[layer].flatten(0, 1)

    def _new(self, shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=self.pointers.device)
