"""The sequences that are being decoded, as device memory that a CUDA graph reads and writes."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ponder.generate.batch import Sequence

CHUNK_STEPS = 32
"""Most steps between two looks of the host."""

_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Chunk:
    """What some steps brought, on the host. Row i is slot i."""

    tokens: list[list[int]]
    """[rows][steps]; after a row's end they mean nothing."""
    logprobs: list[list[float]]
    counts: list[int]
    """Tokens that each row really got."""
    finished: list[bool]
    """By an end token or the limit."""
    suspect: list[bool]
    """A token came that may complete a stop string."""


class Slots:
    """State of up to ``max_rows`` sequences and their page tables, with a mirror on the host.

    Per row, int64: ``token`` the next input, ``prefix`` cached tokens of the prompt, ``own`` cached
    tokens after them (which is also the number of tokens generated), ``key`` of the random stream,
    ``limit`` of generated tokens, ``active``: 0 for a row that is over.
    """

    def __init__(self, max_rows: int, width: int, device: torch.device) -> None:
        self.max_rows = max_rows
        self.width = width
        self.num_rows = 0
        self._state = torch.zeros(_FIELDS, max_rows, dtype=torch.int64, device=device)
        self.token, self.prefix, self.own, self.key, self.limit, self.active = self._state
        self.page_table = torch.zeros(max_rows, width, dtype=torch.int32, device=device)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)
        self.out_tokens = torch.zeros(CHUNK_STEPS, max_rows, dtype=torch.int64, device=device)
        self.out_logprobs = torch.zeros(CHUNK_STEPS, max_rows, device=device)
        self.suspect = torch.zeros(max_rows, dtype=torch.int64, device=device)
        self._host = np.zeros((_FIELDS, max_rows), np.int64)
        self._table = np.zeros((max_rows, width), np.int32)

    def arrange(self, rows: Many[Sequence], kept: Many[int]) -> None:
        """Make ``rows`` the sequences; the first ``len(kept)`` were the rows ``kept`` before."""
        count = len(kept)
        if count:
            self._table[:count] = self._table[list(kept)]
        for place in range(count, len(rows)):
            self._table[place] = 0
            self.set_pages(place, rows[place])
        self.num_rows = len(rows)
        self._host[:, len(rows) :] = 0  # rows that a larger graph runs along: not active
        for place, row in enumerate(rows):
            self._host[:, place] = (
                row.next_input,
                row.group.num_cached,
                len(row.token_ids),
                row.key,
                row.limit,
                1,
            )

    def set_pages(self, place: int, row: Sequence, first: int = 0) -> None:
        """Write row's page numbers (from number ``first`` of its own) into the table."""
        before = row.group.prefix.pages + row.group.own if first == 0 else ()
        start = len(row.group.prefix.pages) + len(row.group.own) + first - len(before)
        pages = [*before, *row.pages[first:]]
        self._table[place, start : start + len(pages)] = pages

    def upload(self) -> None:
        """Bring the mirror to the device."""
        device = self._state.device
        self._state.copy_(_pinned(self._host, device), non_blocking=True)
        table = self._table[: self.num_rows]
        self.page_table[: self.num_rows].copy_(_pinned(table, device), non_blocking=True)
        self.step.zero_()
        self.suspect.zero_()

    def download(self, num_steps: int) -> Chunk:
        """Wait for the device and read what ``num_steps`` steps brought."""
        rows = self.num_rows
        state = torch.stack([self.own[:rows], self.active[:rows], self.suspect[:rows]]).cpu()
        tokens = self.out_tokens[:num_steps, :rows].t().tolist()
        logprobs = self.out_logprobs[:num_steps, :rows].t().tolist()
        counts = (state[0].numpy() - self._host[2, :rows]).tolist()
        finished = (state[1] == 0).tolist()
        return Chunk(tokens, logprobs, counts, finished, (state[2] != 0).tolist())

    def silence(self) -> None:
        """No row is active: steps change nothing (for warming up and capturing)."""
        self.active.zero_()
        self.step.zero_()


def _pinned(array: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array.copy())
    return tensor.pin_memory() if device.type == "cuda" else tensor
