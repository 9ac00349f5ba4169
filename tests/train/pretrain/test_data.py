"""Rows are read while they are written, in an order that follows from the seed alone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import numpy as np
import pytest

from ponder.config.pretrain import CorpusConfig, PretrainConfig, ProductsConfig
from ponder.corpus import DocumentWriter
from ponder.errors import PonderError
from ponder.problems.fingerprint import is_heldout
from ponder.train.pretrain.data import Rows, RowStore, ahead, make_writer


def shards(sizes: tuple[int, ...], asked: list[int] | None = None) -> Iterator[Rows]:
    first = 0
    for size in sizes:
        if asked is not None:
            asked.append(size)
        yield np.arange(first, first + size, dtype=np.uint16)[:, None] * np.ones(3, np.uint16)
        first += size


def places(rows: Rows) -> list[int]:
    return [int(row[0]) for row in rows]


def test_the_first_epoch_is_in_order_across_shards_and_waits_for_no_more_than_it_needs() -> None:
    asked: list[int] = []
    store = RowStore(shards((5, 4, 8), asked), batch_rows=3, seed=0)
    assert places(store.batch(0)) == [0, 1, 2]
    assert asked == [5]
    assert places(store.batch(1)) == [3, 4, 5]
    assert asked == [5, 4]
    assert [places(store.batch(step)) for step in (2, 3, 4)] == [
        [6, 7, 8],
        [9, 10, 11],
        [12, 13, 14],
    ]


def test_later_epochs_are_shuffled_by_seed_and_epoch_and_a_resumed_run_sees_the_same() -> None:
    def read(steps: range, seed: int = 0) -> list[list[int]]:
        store = RowStore(shards((5, 4)), batch_rows=3, seed=seed)
        return [places(store.batch(step)) for step in steps]

    whole = read(range(9))
    assert read(range(4, 9)) == whole[4:]
    for epoch in (whole[3:6], whole[6:9]):
        assert sorted(place for batch in epoch for place in batch) == list(range(9))
    assert whole[3:6] != whole[6:9]
    assert read(range(3, 6), seed=1) != whole[3:6]


def test_batches_are_made_ahead_and_errors_arrive() -> None:
    made: list[int] = []

    def make(step: int) -> int:
        if step == 7:
            raise ValueError("no row")
        made.append(step)
        return step

    stream = ahead(make, 2, 12)  # type: ignore[arg-type]
    assert next(stream) == 2
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made[:4] == [2, 3, 4, 5]
    with pytest.raises(ValueError, match="no row"):
        list(stream)


def test_the_bundled_base_still_reads_its_own_corpus() -> None:
    writer = make_writer(PretrainConfig())
    assert isinstance(writer, DocumentWriter)
    assert writer.document(3) == DocumentWriter(seed=0, excluded=is_heldout).document(3)
    texts = "\0".join(writer.document(index).text for index in range(500))
    assert hashlib.sha256(texts.encode()).hexdigest()[:16] == "0bcbf2fe57ff4e05"


def test_sizes_of_products_reach_the_writer() -> None:
    products = ProductsConfig(sizes={"5x4": 1.0})
    writer = make_writer(PretrainConfig(corpus=CorpusConfig(products=products)))
    assert isinstance(writer, DocumentWriter)
    assert writer.sizes == {(5, 4): 1.0}
    assert writer.excluded is is_heldout


@pytest.mark.parametrize(
    ("sizes", "match"),
    [
        ({"5 by 4": 1.0}, r"corpus\.products\.sizes\.5 by 4"),
        ({"5x4": -1.0}, r"corpus\.products\.sizes\.5x4"),
        ({"5x4": 0.0}, r"corpus\.products\.sizes"),
    ],
)
def test_sizes_that_are_none_are_named(sizes: dict[str, float], match: str) -> None:
    with pytest.raises(PonderError, match=match):
        ProductsConfig(sizes=sizes)


def test_the_bilingual_corpus_takes_no_sizes() -> None:
    with pytest.raises(PonderError, match=r"corpus\.products\.sizes"):
        CorpusConfig(problems="bilingual", products=ProductsConfig(sizes={"5x4": 1.0}))
