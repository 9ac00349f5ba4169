"""Processes that are forked by a program which has everything imported, and killed at a moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Forker:
    """Such a program; for each line of its stdin it prints a pid, and at the end the wait status.

    A life of it begins in milliseconds, where importing torch and transformers takes seconds.
    """

    def __init__(
        self, program: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=None if environment is None else {**os.environ, **environment},
        )

    def fork(self, line: str, moment: Callable[[], bool], kill: int = signal.SIGKILL) -> int:
        """The wait status of a life, which gets the signal ``kill`` at ``moment``."""
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)
        pid = int(self._line())
        ended: list[int] = []
        waiter = threading.Thread(target=lambda: ended.append(int(self._line())))
        waiter.start()
        while waiter.is_alive() and not moment():
            time.sleep(0.0005)
        if waiter.is_alive():
            os.kill(pid, kill)
        waiter.join()
        return ended[0]

    def end(self) -> None:
        """No more lives."""
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()
