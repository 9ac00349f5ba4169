"""Which samples an update looks at, and how they fill forward passes: best fit by length.

A forward pass has no padding and no attention across samples (``models.packed_layout``), so packing
decides speed and memory. What an update learns is decided by ``BatchPlan`` alone.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ponder.config.sft import SFTBatchConfig
from ponder.seeds import derive_seed


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices of ``lengths`` in packs of at most ``capacity``: best fit, the longest first.

    Each goes where it leaves the least room. One longer than ``capacity`` is a pack of its own.
    In n log n but for moving the list of different rooms, of which there are ``capacity`` at most.
    """
    packs: list[list[int]] = []
    rooms: list[int] = []  # the different rooms that packs have, ascending
    having: dict[int, list[int]] = {}  # room -> packs with just that
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = bisect_left(rooms, lengths[index])
        if place == len(rooms):
            chosen, room = len(packs), capacity
            packs.append([])
        else:
            room = rooms[place]
            chosen = having[room].pop()
            if not having[room]:
                del having[room], rooms[place]
        packs[chosen].append(index)
        room -= lengths[index]
        if room > 0:
            if room not in having:
                rooms.insert(bisect_left(rooms, room), room)
            having.setdefault(room, []).append(chosen)
    return packs


def fill_rate(lengths: Sequence[int], packs: Sequence[Sequence[int]], capacity: int) -> float:
    """Share of the packs' capacity that is in use; a pack of one longer sample counts as full."""
    used = [sum(lengths[i] for i in members) for members in packs]
    return sum(used) / sum(max(capacity, tokens) for tokens in used)


class BatchPlan:
    """The samples of every update of a run: a pure function of (seed, lengths, config, step).

    Each epoch has every sample exactly once, in an order of its own; its last update may be smaller
    than the others. With ``batch.tokens``, samples that lie ``window`` apart at most in that order
    are packed into updates, and these are shuffled again (best fit puts the long ones first).
    """

    def __init__(
        self, lengths: npt.NDArray[np.int64], batch: SFTBatchConfig, epochs: int, seed: int
    ) -> None:
        self.lengths, self.batch, self.seed = lengths, batch, seed
        self._epoch, self._batches = 0, self._of_epoch(0)
        self._firsts = [0]
        for epoch in range(epochs):
            self._firsts.append(self._firsts[-1] + self._num_batches(epoch))

    @property
    def num_updates(self) -> int:
        return self._firsts[-1]

    def indices(self, step: int) -> list[int]:
        """The samples of update ``step``."""
        epoch = self.epoch(step)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._of_epoch(epoch)
        return self._batches[step - self._firsts[epoch]]

    def epoch(self, step: int) -> int:
        """The epoch that update ``step`` is of, from 0."""
        return bisect_left(self._firsts, step + 1) - 1

    def _num_batches(self, epoch: int) -> int:
        if self.batch.samples:
            return -(-len(self.lengths) // self.batch.samples)
        return len(self._of_epoch(epoch))

    def _of_epoch(self, epoch: int) -> list[list[int]]:
        draw = np.random.default_rng(derive_seed(self.seed, "sft", epoch))
        order = draw.permutation(len(self.lengths))
        size = self.batch.samples or self.batch.window or len(order)
        parts = [order[first : first + size].tolist() for first in range(0, len(order), size)]
        if self.batch.samples:
            return parts
        batches = [
            [part[i] for i in sorted(members)]
            for part in parts
            for members in pack(self.lengths[part].tolist(), self.batch.tokens)
        ]
        random.Random(derive_seed(self.seed, "sft", epoch, "updates")).shuffle(batches)
        return batches
