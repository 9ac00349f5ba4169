"""Files of rows as batches of lines, and the answers of workers to them, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from ponder.curate.examine import Examined, examine, received
from ponder.curate.reader import read_lines
from ponder.errors import PonderError
from ponder.verify.pool import Answer, Failed, WorkerPool

_BATCH_BYTES = 1 << 18
_BATCH_ROWS = 1000
_DEADLINE_SECONDS = 600.0
_MEMORY_MB = 4096
_AHEAD = 3
"""Batches given out ahead, per worker."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines of one file that follow each other.

    Attributes:
        file: number of the file.
        path: its path.
        end: how many lines of the file, blank ones aside, there are up to the last of these.
        numbers: of the lines, from 1, blank ones counted.
        lines: without their newlines.
    """

    file: int
    path: Path
    end: int
    numbers: list[int]
    lines: list[bytes]


def read_batches(paths: Sequence[Path], file: int = 0, num_lines: int = 0) -> Iterator[Batch]:
    """Batches of all lines that are not blank, but for the first ``num_lines`` of file ``file``
    and the files before it.

    How the lines are divided follows from the lines alone when it starts at the end of a batch.
    """
    for number, path in enumerate(paths[file:], start=file):
        skipped = num_lines if number == file else 0
        lines: list[bytes] = []
        numbers: list[int] = []
        size = 0
        for end, (line_number, line) in enumerate(read_lines(path), start=1):
            if end <= skipped:
                continue
            lines.append(line)
            numbers.append(line_number)
            size += len(line)
            if size >= _BATCH_BYTES or len(lines) >= _BATCH_ROWS:
                yield Batch(number, path, end, numbers, lines)
                lines, numbers, size = [], [], 0
        if lines:
            yield Batch(number, path, end, numbers, lines)


def examined_batches(
    batches: Iterable[Batch], settings: str, index: str, workers: int
) -> Iterator[tuple[Batch, Examined]]:
    """Each batch with what a worker says of it, in order; few batches are held at a time.

    Args:
        workers: processes; 0: one per core; 1: none, this one does the work.

    Raises:
        PonderError: a line is no row; a worker was lost (too little memory).
    """
    num_workers = workers or os.cpu_count() or 1
    if num_workers == 1:
        for batch in batches:
            answer = examine(batch.lines, str(batch.path), batch.numbers, settings, index)
            yield batch, received(answer)
        return
    with WorkerPool(num_workers, _DEADLINE_SECONDS, _MEMORY_MB) as pool:
        waiting: deque[tuple[Batch, Future[Answer]]] = deque()
        for batch in batches:
            given = (batch.lines, str(batch.path), batch.numbers, settings, index)
            waiting.append((batch, pool.submit("ponder.curate.examine:examine", *given)))
            if len(waiting) > _AHEAD * num_workers:
                yield _answered(*waiting.popleft())
        while waiting:
            yield _answered(*waiting.popleft())


def _answered(batch: Batch, future: Future[Answer]) -> tuple[Batch, Examined]:
    answer = future.result()
    if isinstance(answer, Failed):
        place = f"{batch.path}:{batch.numbers[0]}"
        fix = f"a worker failed on the {len(batch.lines)} rows from here ({answer.detail})"
        raise PonderError("rows", place, f"{fix}; try again with workers = 1")
    return batch, received(answer.value)
