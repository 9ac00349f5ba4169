"""The sequences that are being decoded, as device memory that a CUDA graph reads and writes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ponder.generate.batch import Sequence
from ponder.generate.device.host import to_device, to_host
from ponder.generate.device.launch import LONGEST_RUN

CHUNK_STEPS = 32
"""Most steps between two looks of the host."""

MORE_ROWS = 8
"""Rows of memory beyond those in use: so no batch has as many rows as the slots, which would be
compiled as a case of its own, and then again for other batches."""

FIELDS = ("token", "own", "active", "prefix", "key", "limit", "runs")


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


class Sent(NamedTuple):
    """On its way to the host: what to call for the arrays, which waits for them."""

    state: Callable[[], NDArray[Any]]
    tokens: Callable[[], NDArray[Any]]
    logprobs: Callable[[], NDArray[Any]]


class Slots:
    """State of up to ``max_rows`` sequences and their page tables, with a mirror on the host.

    Per row, int64: ``token`` the next input, ``own`` cached tokens after those of the prompt (which
    is also the number of tokens generated), ``active``: 0 for a row that is over, ``prefix`` cached
    tokens of the prompt, ``key`` of the random stream, ``limit`` of generated tokens, ``runs``: see
    ``launch.decode_attention``. All of them are columns of ``state``.
    """

    def __init__(self, max_rows: int, width: int, device: torch.device) -> None:
        self.max_rows = max_rows
        self.width = width
        room = max_rows + MORE_ROWS
        self.num_rows = 0
        self.state = torch.zeros(len(FIELDS), room, dtype=torch.int64, device=device)
        self.token, self.own, self.active, self.prefix = self.state[:4]
        self.key, self.limit, self.runs = self.state[4:]
        self.page_table = torch.zeros(room, width, dtype=torch.int32, device=device)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)
        self.out_tokens = torch.zeros(CHUNK_STEPS, room, dtype=torch.int64, device=device)
        self.out_logprobs = torch.zeros(CHUNK_STEPS, room, device=device)
        self.suspect = torch.zeros(room, dtype=torch.int64, device=device)
        self._host = np.zeros((len(FIELDS), room), np.int64)
        self._table = np.zeros((room, width), np.int32)
        self._groups: list[int] = []

    def arrange(self, rows: Many[Sequence], kept: Many[int]) -> None:
        """Make ``rows`` the sequences; the first ``len(kept)`` were the rows ``kept`` before."""
        count = len(kept)
        places = list(kept)
        self._table[:count] = self._table[places]
        self._host[:, :count] = self._host[:, places]
        self._groups = [self._groups[place] for place in places]
        for place in range(count, len(rows)):
            row = rows[place]
            self._table[place] = 0
            self.set_pages(place, row)
            self._groups.append(id(row.group) if row.group.num_cached else id(row))
            own, prefix = len(row.token_ids), row.group.num_cached
            self._host[:, place] = (row.next_input, own, 1, prefix, row.key, row.limit, 1)
        self._host[:, len(rows) :] = 0  # rows that a larger graph runs along: not active
        self._host[FIELDS.index("runs"), : len(rows)] = _runs(self._groups)
        self.num_rows = len(rows)

    def set_pages(self, place: int, row: Sequence) -> None:
        """Write the row's page numbers into the mirror of the table."""
        pages = row.group.prefix.pages + row.group.own + row.pages
        self._table[place, : len(pages)] = pages

    def upload(self) -> None:
        """Bring the mirror to the device."""
        device = self.state.device
        self.state.copy_(to_device(self._host, device))
        table = self._table[: self.num_rows]
        self.page_table[: self.num_rows].copy_(to_device(table, device))

    def begin_chunk(self) -> None:
        """Steps are counted from 0 again, nothing is suspect yet."""
        self.step.zero_()
        self.suspect.zero_()

    def send(self, num_steps: int) -> Sent:
        """Begin to bring home what ``num_steps`` steps bring, once they have run."""
        rows = self.num_rows
        parts = (
            torch.cat([self.state[:3, :rows], self.suspect[None, :rows]]),
            self.out_tokens[:num_steps, :rows].t(),
            self.out_logprobs[:num_steps, :rows].t(),
        )
        return Sent(*(to_host(part) for part in parts))

    def receive(self, sent: Sent) -> Chunk:
        """What has been sent, in the order of sending: waits for the device."""
        state, tokens, logprobs = (part() for part in sent)
        rows = state.shape[1]
        counts = state[1] - self._host[1, :rows]
        self._host[:3, :rows] = state[:3]
        over, suspect = state[2] == 0, state[3] != 0
        lists = (array.tolist() for array in (tokens, logprobs, counts, over, suspect))
        return Chunk(*lists)

    def silence(self) -> None:
        """No row is active or in a run: steps of any number of rows change nothing.

        For warming up and capturing; ``upload`` brings the sequences back.
        """
        self.state.zero_()
        self.step.zero_()


def _runs(groups: Many[int]) -> list[int]:
    """For each row 1 if its neighbours are of other groups; else the length of its run of at most
    ``LONGEST_RUN`` rows at the run's first row, and 0 at the others."""
    runs: list[int] = []
    for _, members in itertools.groupby(groups):
        left = len(list(members))
        while left:
            length = min(left, LONGEST_RUN)
            runs += [length] + [0] * (length - 1)
            left -= length
    return runs
