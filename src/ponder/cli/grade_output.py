"""What `ponder grade` writes: the verdicts, a line of progress and a summary."""

from __future__ import annotations

import os
import statistics
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ponder.cli.console import clock_time, shown
from ponder.cli.grade_cases import Case
from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors
from ponder.types import Verdict
from ponder.verify.verifier_pool import Timed

PIPE = "-"
_PROGRESS_SECONDS = {True: 0.5, False: 60.0}
"""Between two lines of progress on a terminal, and elsewhere."""


class Output:
    """Where verdicts go, one whole line at a time.

    A file appears under its name when it is complete; until then, and after an interruption, its
    lines are in ``NAME.partial``. Pipes and devices are written to as they are.
    """

    def __init__(self, name: str) -> None:
        self._is_pipe = name == PIPE
        self._path = Path(name).resolve()
        self._is_file = not self._is_pipe and (not self._path.exists() or self._path.is_file())
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._num_lines = 0

    def __enter__(self) -> Output:
        self._file: BinaryIO = sys.stdout.buffer
        if not self._is_pipe:
            target = self._partial if self._is_file else self._path
            try:
                self._file = open(target, "wb")
            except OSError as error:
                fix = f"it cannot be written: {error.strerror}"
                raise PonderError("--out", str(self._path), fix) from error
        return self

    def write(self, line: bytes) -> None:
        with disk_errors(self._partial):
            self._file.write(line)
            self._file.flush()
        self._num_lines += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._is_pipe:
            return
        with disk_errors(self._partial):
            self._file.close()
        if kind is None and self._is_file:
            os.replace(self._partial, self._path)
        elif self._is_file and not self._num_lines:
            self._partial.unlink()
        elif self._is_file:
            sys.stderr.write(f"stopped: {self._num_lines:,} verdicts are in {self._partial}\n")


@dataclass
class Tally:
    """What the summary needs of the verdicts so far."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    milliseconds: array[float] = field(default_factory=lambda: array("f"))
    """Of the lines that a verifier was asked about."""
    num_bytes: int = 0
    first_error: str = ""
    began: float = field(default_factory=time.monotonic)

    def add(self, case: Case, timed: Timed) -> None:
        self.verdicts[timed.judgement.verdict] += 1
        if case.problem is not None:
            self.milliseconds.append(1000 * timed.seconds)
        self.num_bytes += case.num_bytes + 1
        if timed.judgement.verdict is Verdict.ERROR and not self.first_error:
            self.first_error = f"line {case.number}: {timed.judgement.reason}"

    @property
    def num_lines(self) -> int:
        return self.verdicts.total()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class Progress:
    """A line on standard error now and then: rewritten on a terminal, a new one elsewhere."""

    def __init__(self, told: Console, tally: Tally, num_bytes: int) -> None:
        self._told, self._tally, self._num_bytes = told, tally, num_bytes
        self._is_quiet = told.is_terminal and sys.stdout.isatty() and num_bytes == 0
        self._next = time.monotonic() + _PROGRESS_SECONDS[told.is_terminal]
        self._is_shown = False

    def tell(self) -> None:
        if self._is_quiet or (now := time.monotonic()) < self._next:
            return
        self._next = now + _PROGRESS_SECONDS[self._told.is_terminal]
        self._is_shown = self._told.is_terminal
        start, end = ("\r", "\x1b[K") if self._is_shown else ("", "\n")
        self._told.file.write(f"{start}{self._line()}{end}")
        self._told.file.flush()

    def _line(self) -> str:
        tally = self._tally
        text = f"graded {tally.num_lines:,} lines"
        if self._num_bytes:
            share = min(1.0, tally.num_bytes / self._num_bytes)
            left = tally.seconds * (1 - share) / max(share, 1e-9)
            text += f", {share:.0%}, {clock_time(left)} to go"
        return f"{text}, {tally.num_lines / max(tally.seconds, 1e-9):,.0f} a second"

    def clear(self) -> None:
        if self._is_shown:
            self._told.file.write("\r\x1b[K")


def summary(tally: Tally, output: str) -> Group:
    """Counts by verdict with their shares, times, and where the verdicts are."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, justify="right")
    for verdict in Verdict:
        count = tally.verdicts[verdict]
        table.add_row(verdict.value, f"{count:,}", f"{count / max(tally.num_lines, 1):.1%}")
    table.add_row("lines", f"{tally.num_lines:,}", clock_time(tally.seconds))
    if tally.milliseconds:
        table.add_row("median", f"{statistics.median(tally.milliseconds):,.2f}", "ms")
        table.add_row("max", f"{max(tally.milliseconds):,.2f}", "ms")
    notes = []
    if tally.first_error:
        notes.append(Text(shown(f"first error: {tally.first_error}")))
    if output != PIPE:
        notes.append(Text(f"written to {output}"))
    return Group(table, *notes)
