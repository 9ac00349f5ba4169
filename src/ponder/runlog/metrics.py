"""metrics.jsonl: one JSON object a line, ``{"step": 3, "loss/kl": 0.01, ...}``.

Keys are ``area/name``. Those of the areas ``time`` and ``speed`` are wall-clock: the only ones that
may differ between an interrupted and an uninterrupted run. JSON has no NaN and no infinity: they
are written as the strings "NaN", "Infinity", "-Infinity" and come back as floats.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors, fsync_folder, write_all, write_atomic

Row = dict[str, Any]
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class _AppendOnly:
    """A file of lines: a line that ``append`` wrote survives the process, and what was before
    ``sync`` a power failure too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            is_new = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            if is_new:
                fsync_folder(path.parent)
        self._size = _length_of_whole_lines(path.read_bytes())
        os.ftruncate(self._descriptor, self._size)

    def append(self, line: str) -> None:
        data = (line + "\n").encode()
        with disk_errors(self.path):
            try:
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
                write_all(self._descriptor, data)
            except OSError:
                os.ftruncate(self._descriptor, self._size)
                raise
        self._size += len(data)

    def sync(self) -> None:
        with disk_errors(self.path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class MetricsWriter:
    """Appends rows to metrics.jsonl; a row survives a kill when ``write`` returns.

    Before a checkpoint ``sync`` makes it survive a power failure: what comes later is done again
    anyway.
    Opening drops a half-written last line. On a full disk ``write`` raises PonderError and the
    file keeps its earlier rows and nothing else.
    """

    def __init__(self, path: Path) -> None:
        self._file = _AppendOnly(path)

    def write(self, step: int, metrics: Mapping[str, float | int]) -> None:
        """Append one row. Keys must look like ``area/name``; values must be numbers."""
        row: Row = {"step": int(step)}
        for key, value in metrics.items():
            if "/" not in key:
                raise ValueError(f"metric key {key!r} is not area/name")
            row[key] = _number(value)
        self._file.append(json.dumps(row, allow_nan=False))

    def sync(self) -> None:
        """Wait until all rows are on the disk."""
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_metrics(path: Path) -> list[Row]:
    """All whole rows, in file order; a half-written last line is left out.

    Returns an empty list if there is no file yet. There may be several rows of one step (an
    evaluation and a training step).

    Raises:
        PonderError: a line that is not the last one is not a row: the file was damaged.
    """
    return [_row(line) for line in _whole_lines(path)]


def truncate_after(path: Path, next_step: int) -> None:
    """Keep the rows of steps before ``next_step``: what a resumed run will not do again.

    Works on any file of lines with a "step" (metrics.jsonl, alarms.jsonl). Atomic.
    """
    if not path.exists():
        return
    kept = [line for line in _whole_lines(path) if _row(line)["step"] < next_step]
    write_atomic(path, b"".join(line + b"\n" for line in kept))


def append_alarm(path: Path, step: int, name: str, message: str) -> None:
    """Append one alarm to alarms.jsonl; ``name`` is the guard's, ``message`` says what to do."""
    log = _AppendOnly(path)
    try:
        log.append(json.dumps({"step": step, "name": name, "message": message}))
        log.sync()
    finally:
        log.close()


def read_alarms(path: Path) -> list[Row]:
    """The alarms of a run in file order: {"step", "name", "message"}; empty without a file."""
    return [_row(line) for line in _whole_lines(path)]


def _number(value: float | int) -> float | int | str:
    if isinstance(value, int):
        return int(value)
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _length_of_whole_lines(data: bytes) -> int:
    return data.rfind(b"\n") + 1


def _whole_lines(path: Path) -> list[bytes]:
    """The lines that end in a newline and are rows. Only the last may be damaged: it is dropped."""
    if not path.exists():
        return []
    data = path.read_bytes()
    lines = data[: _length_of_whole_lines(data)].split(b"\n")[:-1]
    for number, line in enumerate(lines, start=1):
        if _is_row(line):
            continue
        if number == len(lines):
            return lines[:-1]
        fix = f"line {number} is damaged; restore the file or delete that line, then try again"
        raise PonderError("file", str(path), fix)
    return lines


def _is_row(line: bytes) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and isinstance(row.get("step"), int)


def _row(line: bytes) -> Row:
    row: Row = json.loads(line)
    return {
        key: _NON_FINITE[value] if isinstance(value, str) and value in _NON_FINITE else value
        for key, value in row.items()
    }
