"""MinHash signatures: few bytes per text whose agreement estimates the share of common n-grams.

Broder, "On the resemblance and containment of documents" (1997); one byte per hash is kept, as in
Li and König, "b-bit minwise hashing" (2010). The resemblance of two texts is the Jaccard index of
their sets of word 5-grams. Signs are no words, so "3 + 4" and "3 - 4" are the same to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ponder.curate.tokens import Hashes, Places, Tokens, mix, ngrams, whole_hashes

BANDS = 16
ROWS = 6
"""Two texts are compared if all of the ROWS bytes of one of the BANDS agree: texts that share 80 %
of their 5-grams are with probability 0.99, those that share half with 0.22."""
SIZE = BANDS * ROWS
"""Bytes of a signature."""
SHINGLE = 5
"""Words of an n-gram."""

Signatures = NDArray[np.uint8]
_FACTORS = (mix(np.arange(1, SIZE + 1, dtype=np.uint64)) | np.uint64(1)).astype(np.uint32)
_MASKS = mix(np.arange(1001, SIZE + 1001, dtype=np.uint64)).astype(np.uint32)


def signatures(tokens: Tokens) -> Signatures:
    """[texts, SIZE], one signature for each text. A text without words has one of its own kind.

    A text of fewer words than a shingle is one shingle.
    """
    shingles, begins = _shingles(tokens)
    found = np.empty((SIZE, len(begins)), np.uint8)
    low = shingles.astype(np.uint32)
    permuted = np.empty_like(low)
    for number in range(SIZE):
        np.bitwise_xor(low, _MASKS[number], out=permuted)
        np.multiply(permuted, _FACTORS[number], out=permuted)
        smallest = np.minimum.reduceat(permuted, begins).astype(np.uint64)
        found[number] = mix(smallest).astype(np.uint8)
    return np.ascontiguousarray(found.T)


def _shingles(tokens: Tokens) -> tuple[Hashes, Places]:
    """The shingles of all texts, at least one for each, and where each text's begin."""
    grams, begins = ngrams(tokens, SHINGLE)
    short = np.flatnonzero(np.diff(begins) == 0)
    grams = np.insert(grams, begins[short], whole_hashes(tokens)[short])
    counts = np.maximum(np.diff(begins), 1)
    return grams, np.cumsum(counts) - counts


def resemblance(left: Signatures, right: Signatures) -> NDArray[np.float64]:
    """The estimated Jaccard index of pairs of signatures [..., SIZE]; its error is at most 0.05.

    Bytes of different hashes agree once in 256, which is taken out.
    """
    agreeing = (left == right).mean(axis=-1)
    return np.asarray((agreeing - 1 / 256) / (1 - 1 / 256), np.float64)
