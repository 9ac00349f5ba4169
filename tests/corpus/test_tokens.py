"""The tokenizer and the packed rows."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.corpus import DocumentWriter
from ponder.corpus.tokenizer import TAGS, train_tokenizer
from ponder.corpus.tokens import Job, Shard, row_starts, tokenize, write_rows

WRITER = DocumentWriter(seed=3)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer((WRITER.document(i).text for i in range(1500)), vocab_size=600)


def test_digits_are_single_tokens_and_text_round_trips(tokenizer) -> None:
    assert tokenizer.tokenize("1234567890") == list("1234567890")
    for text in (
        "<think> 47*86=4042. </think>",
        "计算 3 * 4。",
        "é \n\t émile \x00 🤔",
        "User: hi",
    ):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer) == 600


def test_tags_are_one_token_and_stay_in_decoded_text(tokenizer) -> None:
    for tag in TAGS:
        assert len(tokenizer.encode(tag)) == 1
        assert tokenizer.decode(tokenizer.encode(tag), skip_special_tokens=True) == tag


def test_tokens_are_the_documents_in_order(tokenizer) -> None:
    core = tokenizer.backend_tokenizer.to_str()
    shard = tokenize(Job(WRITER, core, 0, 100, 400, row_length=64))
    texts = [WRITER.document(i).text for i in range(100, 400)]
    encoded = [[*tokenizer.encode(text), 0] for text in texts]
    assert shard.tokens.tolist() == [token for ids in encoded for token in ids]
    lengths = [len(ids) for ids in encoded]
    assert shard.starts.tolist() == [sum(lengths[:i]) for i in range(300)]


def test_processes_write_the_rows_of_every_shard_in_order(
    tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.corpus.tokens.SHARD_DOCUMENTS", 200)
    core = tokenizer.backend_tokenizer.to_str()
    written = list(write_rows(WRITER, core, 0, 500, workers=1, row_length=64))
    spans = ((0, 200), (200, 400), (400, 500))
    for rows, (first, last) in zip(written, spans, strict=True):
        expected = tokenize(Job(WRITER, core, 0, first, last, 64)).rows(64)
        assert np.array_equal(rows, expected)


def test_rows_begin_with_documents_and_lie_inside_the_shard() -> None:
    shard = Shard(np.arange(20, dtype=np.uint16), np.array([0, 3, 9, 11, 18]))
    # Row 0 covers 0-4; the document from 3 is cut, so the next row begins at 9, and then at 18,
    # where 5 tokens no longer fit.
    assert row_starts(shard, 5).tolist() == [0, 9]
    assert shard.rows(5).tolist() == [[0, 1, 2, 3, 4], [9, 10, 11, 12, 13]]
    assert row_starts(shard, 2).tolist() == [0, 3, 9, 11, 18]
