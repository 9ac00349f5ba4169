"""What pretraining reads: the corpus of a config, its tokenizer, and batches ready in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ponder.config.pretrain import PretrainConfig
from ponder.corpus import (
    BilingualWriter,
    DocumentWriter,
    LanguageShares,
    StyleShares,
    Writer,
)
from ponder.corpus.tokenizer import train_tokenizer
from ponder.corpus.tokens import write_rows
from ponder.problems.fingerprint import is_heldout

TOKENIZER_DOCUMENTS = 50_000
AHEAD = 4
"""Batches made before they are asked for."""

Rows = npt.NDArray[np.uint16]


def make_writer(config: PretrainConfig) -> Writer:
    """The writer of the corpus; held-out problems are left out of it."""
    corpus = config.corpus
    shares = StyleShares.from_mapping(corpus.styles)
    if corpus.problems == "bilingual":
        languages = LanguageShares.from_mapping(corpus.languages)
        return BilingualWriter(config.seed, shares, languages, excluded=is_heldout)
    return DocumentWriter(config.seed, shares, is_heldout, corpus.products.by_digits())


def make_tokenizer(config: PretrainConfig, writer: Writer) -> PreTrainedTokenizerFast:
    """The tokenizer, learnt from the first documents of the corpus."""
    count = min(TOKENIZER_DOCUMENTS, config.corpus.num_documents)
    texts = (writer.document(index).text for index in range(count))
    return train_tokenizer(texts, config.architecture.vocab_size)


class RowStore:
    """Batches of rows while the rows are still being written.

    The first epoch reads them in the order of the documents (which are independent draws); every
    later one in a new order, from (seed, epoch).
    """

    def __init__(self, shards: Iterator[Rows], batch_rows: int, seed: int) -> None:
        self.shards = shards
        self.batch_rows = batch_rows
        self.seed = seed
        self.written: list[Rows] = []
        self.firsts: list[int] = []
        self.total = 0
        self.is_complete = False
        self.epoch = 0
        self.order: npt.NDArray[np.int64] | None = None

    def batch(self, step: int) -> Rows:
        """``[batch_rows, T + 1]`` of one update; waits until they are written."""
        self._wait_for((step + 1) * self.batch_rows)
        if (step + 1) * self.batch_rows <= self.total:
            return self._gather(np.arange(step * self.batch_rows, (step + 1) * self.batch_rows))
        per_epoch = max(1, self.total // self.batch_rows)
        epoch, place = divmod(step, per_epoch)
        if self.order is None or epoch != self.epoch:
            self.epoch = epoch
            self.order = np.random.default_rng((self.seed, epoch)).permutation(self.total)
        return self._gather(self.order[place * self.batch_rows : (place + 1) * self.batch_rows])

    def _wait_for(self, count: int) -> None:
        while self.total < count and not self.is_complete:
            shard = next(self.shards, None)
            if shard is None:
                self.is_complete = True
                return
            self.written.append(shard)
            self.firsts.append(self.total)
            self.total += len(shard)

    def _gather(self, places: npt.NDArray[np.int64]) -> Rows:
        which = np.searchsorted(self.firsts, places, side="right") - 1
        pairs = zip(which, places, strict=True)
        return np.stack([self.written[shard][row - self.firsts[shard]] for shard, row in pairs])


def batches(
    config: PretrainConfig,
    writer: Writer,
    tokenizer: PreTrainedTokenizerFast,
    first_step: int,
    device: torch.device,
) -> Generator[Tensor, None, None]:
    """The token ids int64 ``[rows, sequence_length + 1]`` of each update, on ``device``.

    They are made a few updates ahead by a thread, from pinned memory where there is a GPU.
    """
    shards = write_rows(
        writer,
        tokenizer.backend_tokenizer.to_str(),
        tokenizer.eos_token_id,
        config.corpus.num_documents,
        config.corpus.workers,
        config.sequence_length + 1,
    )
    on_gpu = device.type == "cuda"

    def make(step: int) -> Tensor:
        ids = torch.from_numpy(store.batch(step).astype(np.int64))
        return ids.pin_memory() if on_gpu else ids

    with closing(shards):
        batch_rows = max(1, config.batch_tokens // config.sequence_length)
        store = RowStore(shards, batch_rows, config.seed)
        for ids in ahead(make, first_step, config.steps):
            yield ids.to(device, non_blocking=True)


def ahead(make: Callable[[int], Tensor], first: int, last: int) -> Iterator[Tensor]:
    """``make(step)`` for each step, ``AHEAD`` of them before their turn."""
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(
            thread.submit(make, step) for step in range(first, min(first + AHEAD, last))
        )
        for step in range(first, last):
            ready = waiting.popleft().result()
            if step + AHEAD < last:
                waiting.append(thread.submit(make, step + AHEAD))
            yield ready
