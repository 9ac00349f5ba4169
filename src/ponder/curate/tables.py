"""Hash tables in numpy arrays: a few bytes per entry, many entries looked up or added at once.

Both use open addressing with linear probing and are never more than half full. What they answer
follows from the order of what was added alone, not from how it was divided into calls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ponder.curate.minhash import BANDS, ROWS, SIZE, Signatures
from ponder.curate.tokens import Hashes, Places, mix

_FREE = np.uint32(0xFFFFFFFF)
MOST_OF_A_KEY = 8
"""Rows kept for one value of a band: more are of a common template, and found by other bands."""


class HashSet:
    """A set of 64-bit hashes, 16 to 32 bytes each. (Two of a million rows' are equal by chance with
    a probability of 3e-8.)"""

    def __init__(self) -> None:
        self.num_hashes = 0
        self._slots = np.zeros(1 << 10, np.uint64)  # 0 is free

    def add(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Adds them; which of them were new, each only at its first place in ``hashes``."""
        distinct, first = np.unique(np.maximum(hashes, np.uint64(1)), return_index=True)
        if 2 * (self.num_hashes + len(distinct)) > len(self._slots):
            self._grow(self.num_hashes + len(distinct))
        is_new = np.zeros(len(hashes), bool)
        is_new[first[self._place(distinct)]] = True
        self.num_hashes += int(is_new.sum())
        return is_new

    def _place(self, distinct: Hashes) -> NDArray[np.bool_]:
        mask = np.uint64(len(self._slots) - 1)
        slots = mix(distinct) & mask
        is_new = np.zeros(len(distinct), bool)
        active = np.arange(len(distinct))
        while len(active):
            wanted = distinct[active]
            is_free = self._slots[slots[active]] == 0
            self._slots[slots[active[is_free]]] = wanted[is_free]
            is_there = self._slots[slots[active]] == wanted
            is_new[active[is_free & is_there]] = True
            active = active[~is_there]
            slots[active] = (slots[active] + np.uint64(1)) & mask
        return is_new

    def _grow(self, count: int) -> None:
        old = self._slots[self._slots != 0]
        self._slots = np.zeros(1 << (4 * count).bit_length(), np.uint64)
        self._place(old)


class NearTable:
    """Signatures, and for each band the rows that have a value: 96 + 128 to 256 bytes a row."""

    def __init__(self) -> None:
        self.num_rows = 0
        self.signatures = np.empty((1 << 10, SIZE), np.uint8)
        self._slots = np.full(1 << 15, _FREE, np.uint32)

    def find(self, wanted: Signatures) -> tuple[Places, Places]:
        """Pairs (number in ``wanted`` * BANDS + band, row) of rows that agree in that band."""
        keys = band_keys(wanted).ravel()
        slots, active = self._first_slots(keys), np.arange(len(keys))
        asked: list[Places] = []
        found: list[Places] = []
        while len(active):
            entries = self._slots[slots[active]]
            active, entries = active[entries != _FREE], entries[entries != _FREE]
            agree = self._agree(wanted, active, entries)
            asked.append(active[agree])
            found.append((entries[agree] // BANDS).astype(np.intp))
            slots[active] = (slots[active] + 1) & (len(self._slots) - 1)
        return np.concatenate([*asked, active]), np.concatenate([*found, active])

    def add(self, new: Signatures) -> None:
        """Adds rows; their numbers follow those that are there."""
        first, total = self.num_rows, self.num_rows + len(new)
        if total > len(self.signatures):
            # realloc: the kernel moves the pages, nothing is held twice
            self.signatures.resize((2 * total, SIZE), refcheck=False)
        self.signatures[first:total] = new
        self.num_rows = total
        if 2 * BANDS * total > len(self._slots):
            del self._slots  # before the new ones: the most memory is taken just here
            self._slots = np.full(1 << (2 * BANDS * total).bit_length(), _FREE, np.uint32)
            first = 0
        for start in range(first, total, 1 << 14):
            self._insert(start, min(total, start + (1 << 14)))

    def _insert(self, start: int, end: int) -> None:
        new = self.signatures[start:end]
        keys = band_keys(new).ravel()
        slots, active = self._first_slots(keys), np.arange(len(keys))
        met = np.zeros(len(keys), np.uint8)
        while len(active):
            entries = self._slots[slots[active]]
            free = active[entries == _FREE][::-1]  # of several, the first row has the last word
            self._slots[slots[free]] = (free + start * BANDS).astype(np.uint32)
            is_placed = self._slots[slots[active]] == (active + start * BANDS).astype(np.uint32)
            active = active[~is_placed]
            entries = self._slots[slots[active]]
            met[active[self._agree(new, active, entries)]] += 1
            active = active[met[active] < MOST_OF_A_KEY]
            slots[active] = (slots[active] + 1) & (len(self._slots) - 1)

    def _agree(
        self, wanted: Signatures, asked: Places, entries: NDArray[np.uint32]
    ) -> NDArray[np.bool_]:
        """Whether the entries are of the bands asked for and hold the same bytes there."""
        bands = (entries % BANDS).astype(np.intp)
        rows = (entries // BANDS).astype(np.intp)
        same: NDArray[np.bool_] = bands == asked % BANDS
        ours = wanted.reshape(-1, BANDS, ROWS)[asked[same] // BANDS, bands[same]]
        theirs = self.signatures.reshape(-1, BANDS, ROWS)[rows[same], bands[same]]
        same[same] = (ours == theirs).all(axis=-1)
        return same

    def _first_slots(self, keys: Hashes) -> Places:
        return (keys & np.uint64(len(self._slots) - 1)).astype(np.intp)


def band_keys(found: Signatures) -> Hashes:
    """[rows, BANDS] a hash of each band's bytes and of its number."""
    parts = found.reshape(-1, BANDS, ROWS).astype(np.uint64)
    keys = np.zeros(parts.shape[:2], np.uint64)
    for place in range(ROWS):
        keys = (keys << np.uint64(8)) | parts[:, :, place]
    return mix(keys + (np.arange(BANDS, dtype=np.uint64) << np.uint64(56)))
