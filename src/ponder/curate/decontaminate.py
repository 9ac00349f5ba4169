"""Finds rows that share a 10-gram with an evaluation set.

DeepSeek-R1 (arXiv 2501.12948 v2, D.1) drops every text of pre- and post-training "that contains a
matching 10-gram sequence" of evaluation questions or reference solutions, and says that this misses
paraphrases. How texts are cut into words is not said: here they are runs of letters and digits,
case folded, and characters where a script has no blanks (``tokens``); signs do not count.

Differs from the paper: an evaluation text of fewer than ten words has no 10-gram; a row whose
question equals it word by word is dropped too. And n-grams in a twentieth of a set's items or more
are the wording of its task ("use each number once to reach"), not of an item: they do not count, or
no problem made by the same generator could be trained on.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.config.curate import DecontaminateConfig
from ponder.curate.evaluation import EvaluationText, evaluation_texts
from ponder.curate.tokens import Hashes, Places, Tokens, ngrams, tokenize, whole_hashes
from ponder.errors import PonderError
from ponder.runlog.durable import write_atomic

MOST_HITS = 5
"""Evaluation items reported for one text."""
_FEWEST_COMMON = 6
_BATCH = 2000
_BITMAP_BITS = 24


@dataclass(frozen=True, slots=True)
class Hit:
    """A text that shares words with an evaluation item.

    Attributes:
        text: its number among those given.
        set, item: the evaluation item.
        words: the first words that they share, as normalised text.
    """

    text: int
    set: str
    item: str
    words: str


class EvaluationIndex:
    """The n-grams of evaluation sets as sorted hashes: 12 bytes each.

    Make it with ``build_index`` or ``load``.
    """

    def __init__(
        self,
        ngram: int,
        items: Sequence[tuple[str, str]],
        grams: tuple[Hashes, NDArray[np.int32]],
        short: tuple[Hashes, NDArray[np.int32]],
        num_common: int = 0,
    ) -> None:
        self.ngram, self.items, self.num_common = ngram, items, num_common
        self._grams, self._short = grams, short
        self._shift = np.uint64(64 - _BITMAP_BITS)
        self._is_possible = np.zeros(1 << _BITMAP_BITS, bool)
        self._is_possible[grams[0] >> self._shift] = True

    @property
    def num_ngrams(self) -> int:
        return len(self._grams[0])

    def facts(self) -> dict[str, int]:
        """Counts for reports: items, n-grams, n-grams that do not count, and items too short."""
        return {
            "items": len(self.items),
            "ngrams": self.num_ngrams,
            "common_ngrams": self.num_common,
            "short_texts": len(self._short[0]),
        }

    def find(self, tokens: Tokens) -> list[Hit]:
        """The items that the texts share an n-gram with: each once a text, MOST_HITS at most."""
        found, begins = ngrams(tokens, self.ngram)
        possible = np.flatnonzero(self._is_possible[found >> self._shift])
        is_hit, items = _look_up(self._grams, found[possible])
        places = possible[is_hit]
        texts = np.searchsorted(begins, places, side="right") - 1
        words = tokens.rows[texts] + places - begins[texts]
        return self._hits(tokens, texts, items, words)

    def find_equal(self, tokens: Tokens) -> list[Hit]:
        """The items too short for an n-gram that equal a text word by word."""
        is_hit, items = _look_up(self._short, whole_hashes(tokens))
        texts = np.flatnonzero(is_hit)
        return self._hits(tokens, texts, items, tokens.rows[texts])

    def _hits(
        self, tokens: Tokens, texts: Places, items: NDArray[np.int32], words: Places
    ) -> list[Hit]:
        first: dict[int, dict[int, int]] = {}
        for text, item, word in zip(texts.tolist(), items.tolist(), words.tolist(), strict=True):
            first.setdefault(text, {}).setdefault(item, word)
        return [
            Hit(text, *self.items[item], self._shared(tokens, text, word))
            for text, of_text in first.items()
            for item, word in islice(of_text.items(), MOST_HITS)
        ]

    def _shared(self, tokens: Tokens, text: int, word: int) -> str:
        return tokens.text(word, min(self.ngram, int(tokens.rows[text + 1]) - word))

    def save(self, path: Path) -> None:
        """Write the index to a .npz file, atomically."""
        about = {"ngram": self.ngram, "items": list(self.items), "num_common": self.num_common}
        data = io.BytesIO()
        np.savez(
            data,
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            grams=self._grams[0],
            gram_items=self._grams[1],
            short=self._short[0],
            short_items=self._short[1],
        )
        write_atomic(path, data.getvalue())

    @classmethod
    def load(cls, path: Path) -> EvaluationIndex:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            about: dict[str, Any] = json.loads(arrays["about"].tobytes())
            return cls(
                about["ngram"],
                [(name, item) for name, item in about["items"]],
                (arrays["grams"], arrays["gram_items"]),
                (arrays["short"], arrays["short_items"]),
                about["num_common"],
            )


def build_index(
    config: DecontaminateConfig, more: Iterable[EvaluationText] = ()
) -> EvaluationIndex:
    """The index of the sets named in a config and of further texts, e.g. of generated problems.

    Raises:
        PonderError: a set cannot be read, or has no text.
    """
    builder = _Builder(config)
    for one in config.sets:
        num_before = len(builder.items)
        builder.add(evaluation_texts(one))
        if len(builder.items) == num_before:
            fix = "there is not one text in it; check its path, split and text_fields"
            raise PonderError("decontaminate.sets", one.name, fix)
    builder.add(more)
    return builder.build()


class _Builder:
    """Collects n-grams with the number of the item that they are of."""

    def __init__(self, config: DecontaminateConfig) -> None:
        self.config = config
        self.items: dict[tuple[str, str], int] = {}
        self._grams: list[tuple[Hashes, NDArray[np.int32]]] = []
        self._short: list[tuple[Hashes, NDArray[np.int32]]] = []

    def add(self, texts: Iterable[EvaluationText]) -> None:
        for batch in _batches(texts):
            tokens = tokenize([one.text for one in batch])
            numbers = (self.items.setdefault((one.set, one.item), len(self.items)) for one in batch)
            items = np.fromiter(numbers, np.int32, len(batch))
            grams, begins = ngrams(tokens, self.config.ngram)
            counts = np.diff(begins)
            self._grams.append((grams, np.repeat(items, counts)))
            is_short = (counts == 0) & (np.diff(tokens.rows) > 0) & self.config.whole_short_items
            self._short.append((whole_hashes(tokens)[is_short], items[is_short]))

    def build(self) -> EvaluationIndex:
        grams, items = _joined(self._grams)
        grams, items, num_common = self._without_common(grams, items)
        sorted_grams, sorted_short = _sorted(grams, items), _sorted(*_joined(self._short))
        ngram = self.config.ngram
        return EvaluationIndex(ngram, list(self.items), sorted_grams, sorted_short, num_common)

    def _without_common(
        self, grams: Hashes, items: NDArray[np.int32]
    ) -> tuple[Hashes, NDArray[np.int32], int]:
        """Leaves out n-grams that are in too many of the items of one set."""
        names = [name for name, _ in self.items]
        number = {name: place for place, name in enumerate(dict.fromkeys(names))}
        set_of = np.array([number[name] for name in names], np.int64)
        common: list[Hashes] = []
        for place in number.values():
            least = self.config.boilerplate_share * int((set_of == place).sum())
            is_here = set_of[items] == place
            pairs = np.unique(np.stack([grams[is_here], items[is_here].astype(np.uint64)]), axis=1)
            values, counts = np.unique(pairs[0], return_counts=True)
            common.append(values[(counts > least) & (counts >= _FEWEST_COMMON)])
        left_out = np.concatenate([np.zeros(0, np.uint64), *common])
        is_kept = ~np.isin(grams, left_out)
        return grams[is_kept], items[is_kept], len(np.unique(left_out))


def _joined(
    parts: list[tuple[Hashes, NDArray[np.int32]]],
) -> tuple[Hashes, NDArray[np.int32]]:
    hashes = np.concatenate([np.zeros(0, np.uint64), *(part[0] for part in parts)])
    return hashes, np.concatenate([np.zeros(0, np.int32), *(part[1] for part in parts)])


def _sorted(hashes: Hashes, items: NDArray[np.int32]) -> tuple[Hashes, NDArray[np.int32]]:
    """Each hash once, ascending, with the first item that it is of."""
    values, first = np.unique(hashes, return_index=True)
    return values, items[first]


def _look_up(
    known: tuple[Hashes, NDArray[np.int32]], wanted: Hashes
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Which are known, and the items of those."""
    hashes, items = known
    if not len(hashes):
        return np.zeros(len(wanted), bool), np.zeros(0, np.int32)
    places = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
    is_known: NDArray[np.bool_] = hashes[places] == wanted
    return is_known, items[places[is_known]]


def _batches(texts: Iterable[EvaluationText]) -> Iterator[list[EvaluationText]]:
    iterator = iter(texts)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
