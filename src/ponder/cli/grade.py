"""`ponder grade`: a verdict for every line of a file, in order, whatever is in it."""

from __future__ import annotations

import contextlib
import os
import threading
from argparse import Namespace
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from rich.console import Console

from ponder.cli.grade_cases import Case, Readable, read_cases, verdict_line
from ponder.cli.grade_output import PIPE, Output, Progress, Tally, summary
from ponder.cli.outfile import check_can_be_file
from ponder.errors import PonderError
from ponder.types import Judgement, Verdict
from ponder.verify.verifier_pool import Timed, VerifierPool
from ponder.verify.verifiers import verifier_named

_MAX_AHEAD = 512
_MAX_BYTES_AHEAD = 64 << 20

Judged = tuple[Case, Future[Timed]]


def run(arguments: Namespace) -> int:
    """Judge every line; the summary goes to standard error."""
    _check(arguments)
    tally = Tally()
    told = Console(stderr=True, highlight=False, emoji=False)
    with (
        _opened_input(arguments.input) as lines,
        Output(arguments.output) as output,
        VerifierPool(arguments.workers) as pool,
        contextlib.closing(Ahead()) as ahead,
    ):
        threading.Thread(
            target=ahead.read, args=(lines, arguments.kind, pool), name="ponder-read", daemon=True
        ).start()
        progress = Progress(told, tally, _num_bytes(arguments.input))
        for case, future in ahead:
            timed = future.result()
            output.write(verdict_line(case, timed))
            tally.add(case, timed)
            progress.tell()
        progress.clear()
    told.print(summary(tally, arguments.output), soft_wrap=True)
    return 0


def _check(arguments: Namespace) -> None:
    try:
        verifier_named(arguments.kind)
    except PonderError as error:
        raise PonderError("--kind", arguments.kind, error.fix) from error
    if arguments.output != PIPE:
        check_can_be_file("--out", Path(arguments.output))


@contextlib.contextmanager
def _opened_input(name: str) -> Iterator[Readable]:
    """Unbuffered, so that a line of a pipe is judged when it comes."""
    try:
        file = open(0 if name == PIPE else name, "rb", buffering=0, closefd=name != PIPE)  # noqa: SIM115
    except FileNotFoundError as error:
        raise PonderError("--in", name, "there is no such file") from error
    except OSError as error:
        raise PonderError("--in", name, f"it cannot be read: {error.strerror}") from error
    with file:
        yield file


def _num_bytes(name: str) -> int:
    """The size of the input, or 0 if it is not known."""
    return os.path.getsize(name) if name != PIPE and os.path.isfile(name) else 0


class Ahead:
    """The cases that are read and not yet written, in order: so many, and so many bytes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._judged: deque[Judged] = deque()
        self._num_bytes = 0
        self._is_closed = False
        self._is_read = False
        self._error: BaseException | None = None

    def read(self, lines: Readable, kind: str, pool: VerifierPool) -> None:
        """Run by a thread of its own: a pipe's verdicts come out while the next line is awaited."""
        try:
            for case in read_cases(lines, kind):
                if not self._put((case, _judged(case, pool))):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the lines are written
            self._error = error
        with self._changed:
            self._is_read = True
            self._changed.notify_all()

    def _put(self, judged: Judged) -> bool:
        with self._changed:
            self._judged.append(judged)
            self._num_bytes += judged[0].num_bytes
            self._changed.notify_all()
            while not self._is_closed and (
                len(self._judged) >= _MAX_AHEAD or self._num_bytes >= _MAX_BYTES_AHEAD
            ):
                self._changed.wait()
            return not self._is_closed

    def __iter__(self) -> Iterator[Judged]:
        """Until all is read. Raises what went wrong with reading, after the lines before it."""
        while True:
            with self._changed:
                while not self._judged and not self._is_read:
                    self._changed.wait()
                if not self._judged:
                    break
                judged = self._judged.popleft()
                self._num_bytes -= judged[0].num_bytes
                self._changed.notify_all()
            yield judged
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Lets the reader end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


def _judged(case: Case, pool: VerifierPool) -> Future[Timed]:
    if case.problem is not None:
        return pool.submit_timed(case.problem, case.completion)
    fault: Future[Timed] = Future()
    fault.set_result(Timed(Judgement(Verdict.ERROR, None, case.fault), 0.0))
    return fault
