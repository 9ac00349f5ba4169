"""The corpus as token ids: written by several processes, packed into rows of equal length."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from ponder.corpus import Writer

SHARD_DOCUMENTS = 20_000
Tokens = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Shard:
    """Some documents one after the other, each closed by the end token.

    Attributes:
        tokens: uint16 ids ``[N]``.
        starts: index of the first token of each document ``[D]``.
    """

    tokens: Tokens
    starts: npt.NDArray[np.int64]

    def rows(self, row_length: int) -> Tokens:
        """``[R, row_length]``: what ``row_starts`` finds."""
        starts = row_starts(self, row_length)
        rows: Tokens = self.tokens[starts[:, None] + np.arange(row_length)[None, :]]
        return rows


@dataclass(frozen=True, slots=True)
class Job:
    """Which documents a process is to write, and how."""

    writer: Writer
    tokenizer_json: str
    end_id: int
    first: int
    last: int
    row_length: int


def write_rows(
    writer: Writer,
    tokenizer_json: str,
    end_id: int,
    num_documents: int,
    workers: int,
    row_length: int,
) -> Generator[Tokens, None, None]:
    """Write documents 0 to ``num_documents - 1`` as rows of ``row_length`` tokens.

    Yields ``[R, row_length]`` in the order of the documents, each as soon as it and those before it
    are written; processes go on writing meanwhile. The rows do not depend on ``workers``.

    Args:
        tokenizer_json: the tokenizer as ``Tokenizer.to_str()`` gives it.
        end_id: the id that closes each document.
        workers: processes; 0: one per core.
    """
    jobs = [
        Job(writer, tokenizer_json, end_id, first, last, row_length)
        for first in range(0, num_documents, SHARD_DOCUMENTS)
        for last in [min(first + SHARD_DOCUMENTS, num_documents)]
    ]
    pool = ProcessPoolExecutor(workers or os.cpu_count(), get_context("spawn"))
    try:
        yield from pool.map(_rows_of, jobs)
    finally:  # whoever has read enough need not wait for the rest
        pool.shutdown(cancel_futures=True)


def _rows_of(job: Job) -> Tokens:
    return tokenize(job).rows(job.row_length)


def tokenize(job: Job) -> Shard:
    """Write and tokenize the documents of ``job``."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_str(job.tokenizer_json)
    texts = [job.writer.document(index).text for index in range(job.first, job.last)]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    lengths = np.array([len(ids) + 1 for ids in encoded], np.int64)
    flat = np.empty(int(lengths.sum()), np.uint16)
    position = 0
    for ids in encoded:
        flat[position : position + len(ids)] = ids
        flat[position + len(ids)] = job.end_id
        position += len(ids) + 1
    return Shard(flat, np.cumsum(lengths) - lengths)


def row_starts(shard: Shard, row_length: int) -> npt.NDArray[np.int64]:
    """Where each row of ``row_length`` tokens begins: always at the beginning of a document.

    The document that a row cuts off is not continued in the next row, which begins with the
    document after it, so that every row starts the way a prompt does.
    """

    def walk() -> Iterator[int]:
        position = 0
        while position + row_length <= len(shard.tokens):
            yield position
            following = np.searchsorted(shard.starts, position + row_length)
            if following == len(shard.starts):
                return
            position = int(shard.starts[following])

    return np.fromiter(walk(), np.int64)
