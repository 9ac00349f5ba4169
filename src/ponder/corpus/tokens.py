"""The corpus as token ids: written by several processes, packed into rows of equal length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from ponder.corpus.documents import DocumentWriter

SHARD_DOCUMENTS = 20_000
Tokens = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class TokenizedCorpus:
    """All documents one after the other, each closed by the end token.

    Attributes:
        tokens: uint16 ids ``[N]``.
        starts: index of the first token of each document ``[D]``.
    """

    tokens: Tokens
    starts: npt.NDArray[np.int64]


def tokenize_corpus(
    writer: DocumentWriter, tokenizer_json: str, end_id: int, num_documents: int, workers: int
) -> TokenizedCorpus:
    """Write documents 0 to ``num_documents - 1`` and tokenize them, in order.

    Args:
        tokenizer_json: the tokenizer as ``Tokenizer.to_str()`` gives it.
        end_id: the id that closes each document.
        workers: processes; 0: one per core. The result does not depend on it.
    """
    shards = [
        (writer, tokenizer_json, end_id, first, min(first + SHARD_DOCUMENTS, num_documents))
        for first in range(0, num_documents, SHARD_DOCUMENTS)
    ]
    with ProcessPoolExecutor(workers or os.cpu_count(), get_context("spawn")) as pool:
        parts = list(pool.map(_tokenize_shard, shards))
    lengths = np.concatenate([lengths for _, lengths in parts])
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)[:-1]])
    return TokenizedCorpus(np.concatenate([tokens for tokens, _ in parts]), starts)


def _tokenize_shard(
    job: tuple[DocumentWriter, str, int, int, int],
) -> tuple[Tokens, npt.NDArray[np.int64]]:
    writer, tokenizer_json, end_id, first, last = job
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_str(tokenizer_json)
    texts = [writer.document(index).text for index in range(first, last)]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    lengths = np.array([len(ids) + 1 for ids in encoded], np.int64)
    flat = np.empty(int(lengths.sum()), np.uint16)
    position = 0
    for ids in encoded:
        flat[position : position + len(ids)] = ids
        flat[position + len(ids)] = end_id
        position += len(ids) + 1
    return flat, lengths


def row_starts(corpus: TokenizedCorpus, row_length: int) -> npt.NDArray[np.int64]:
    """Where each row of ``row_length`` tokens begins: always at the beginning of a document.

    The document that a row cuts off is not continued in the next row, which begins with the
    document after it, so that every row starts the way a prompt does.
    """

    def walk() -> Iterator[int]:
        position = 0
        while position + row_length <= len(corpus.tokens):
            yield position
            following = np.searchsorted(corpus.starts, position + row_length)
            if following == len(corpus.starts):
                return
            position = int(corpus.starts[following])

    return np.fromiter(walk(), np.int64)
