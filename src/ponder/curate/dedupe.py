"""Drops rows that say the same again: exactly, or nearly.

Exactly: the question and the completion are equal but for case, width and white space. Nearly: by
MinHash they share at least ``threshold`` of their word 5-grams with a row that was kept. The papers
say nothing of either; both are what the builders of text corpora do (Lee et al. 2107.06499 for
example, who keep pairs under a Jaccard index of 0.8).

A row is compared with rows before it alone, so rows are taken as a stream. Memory is about 400
bytes for each row that is kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponder.curate.appended import Appended
from ponder.curate.minhash import BANDS, SIZE, Signatures, resemblance
from ponder.curate.row import Row
from ponder.curate.tables import MOST_OF_A_KEY, HashSet, NearTable, band_keys
from ponder.curate.tokens import Hashes, normalise


def text_of(row: Row) -> str:
    """What of a row is compared: its question (without the template where it has it) and all that
    follows."""
    return f"{row.question}\n{row.completion}"


def exact_hash(row: Row) -> int:
    """64 bits of the normalised text."""
    normal = " ".join(normalise(text_of(row)).split())
    digest = hashlib.blake2b(normal.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class NearDuplicates:
    """Which rows nearly repeat an earlier one that was kept."""

    def __init__(self, threshold: float = 0.8) -> None:
        self.threshold = threshold
        self.table = NearTable()

    def keep(self, found: Signatures) -> NDArray[np.bool_]:
        """Which of these rows are kept, in order; those that are kept are remembered."""
        suspects, crowded = self._suspects(found)
        groups = _same_bands(found)
        kept = np.ones(len(found), bool)
        members: dict[int, list[int]] = {}
        for row in sorted(suspects | {asked // BANDS for asked in groups}):
            asked = range(row * BANDS, (row + 1) * BANDS)
            earlier = {one for place in asked for one in members.get(groups.get(place, -1), ())}
            kept[row] = row not in suspects and not self._resembles(found, row, earlier)
            for place in asked if kept[row] else ():
                group = members.setdefault(groups[place], []) if place in groups else None
                if group is not None and len(group) + crowded.get(place, 0) < MOST_OF_A_KEY:
                    group.append(row)
        self.table.add(found[kept])
        return kept

    def _suspects(self, found: Signatures) -> tuple[set[int], dict[int, int]]:
        """Rows that resemble one in the table, and how many rows it has of each band asked for."""
        asked, rows = self.table.find(found)
        alike = resemblance(found[asked // BANDS], self.table.signatures[rows]) >= self.threshold
        places, counts = np.unique(asked, return_counts=True)
        crowded = dict(zip(places.tolist(), counts.tolist(), strict=True))
        return set((asked[alike] // BANDS).tolist()), crowded

    def _resembles(self, found: Signatures, row: int, earlier: set[int]) -> bool:
        if not earlier:
            return False
        others = found[sorted(earlier)]
        return bool((resemblance(others, found[row]) >= self.threshold).any())


def _same_bands(found: Signatures) -> dict[int, int]:
    """For each (row * BANDS + band) that another row here shares its bytes with: a group number."""
    keys = band_keys(found).ravel()
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    places = np.flatnonzero(counts[group] > 1)
    return dict(zip(places.tolist(), group[places].tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class DedupeMark:
    """How much of the state on disk belongs to the rows up to a place in the stream."""

    num_exact: int = 0
    num_near: int = 0


class Dedupe:
    """Exact and near duplicates in a stream, with a state on disk from which it goes on.

    Args:
        folder: where the hashes and signatures of what was seen are appended.
        threshold: the least resemblance of a near duplicate; above 1 there are none.
        at: the place to go on from; what was appended after it is cut off.

    Raises:
        PonderError: the disk is full; or the state is shorter than ``at`` says.
    """

    def __init__(self, folder: Path, threshold: float, at: DedupeMark | None = None) -> None:
        at = at or DedupeMark()
        self._exact, self._near = HashSet(), NearDuplicates(threshold)
        self._hash_file = Appended(folder / "exact.bin", 8 * at.num_exact)
        self._near_file = Appended(folder / "near.bin", SIZE * at.num_near)
        for block in self._hash_file.blocks(8 << 16):
            self._exact.add(np.frombuffer(block, np.uint64))
        for block in self._near_file.blocks(SIZE << 14):
            self._near.table.add(np.frombuffer(block, np.uint8).reshape(-1, SIZE))

    @property
    def threshold(self) -> float:
        return self._near.threshold

    def keep_exact(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which of these rows are the first of their text."""
        is_new = self._exact.add(hashes)
        self._hash_file.append(hashes[is_new].tobytes())
        return is_new

    def keep_near(self, found: Signatures) -> NDArray[np.bool_]:
        """Which of these rows resemble no earlier one that was kept."""
        if self.threshold > 1:
            return np.ones(len(found), bool)
        kept = self._near.keep(found)
        self._near_file.append(found[kept].tobytes())
        return kept

    def sync(self) -> DedupeMark:
        """Make the state durable; returns the place to go on from."""
        self._hash_file.sync()
        self._near_file.sync()
        return DedupeMark(self._hash_file.size // 8, self._near_file.size // SIZE)

    def close(self) -> None:
        self._hash_file.close()
        self._near_file.close()
