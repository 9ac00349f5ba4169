"""A worker process as its owner sees it: start it, call it, kill it.

The worker is a fresh interpreter that imports this package and nothing of the user's script, so it
makes no difference whether that is a file without a ``__main__`` guard, ``python -c``, a notebook
or a program on standard input.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace

from ponder.verify.pool.answers import Answer, Done, Failed
from ponder.verify.pool.call import STARTED, Request
from ponder.verify.pool.channel import (
    MAX_ANSWER_BYTES,
    Channel,
    ClosedError,
    load_plain,
    python_path,
)

_REAP_SECONDS = 5.0
_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP}
_ENVIRONMENT = {
    # one core a worker; and the same order of sets, so the same verdict, in every worker
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died without an answer, and not because of what it was given, as far as we know:
    before its work started, or because somebody else killed it."""

    detail: str


class WorkerProcess:
    """Belongs to the thread that made it: the kernel kills it when that thread ends.

    Args:
        memory_mb: see ``MemoryLimit``.
        start_seconds: the most between a request and the start of its work (process, imports).
    """

    def __init__(self, memory_mb: int, start_seconds: float) -> None:
        self._start_seconds = start_seconds
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours, MAX_ANSWER_BYTES)
        self._path = python_path()
        code = (
            f"import sys; sys.path[:] = {self._path!r}; "
            "from ponder.verify.pool.worker import main; "
            f"main({theirs.fileno()}, {os.getpid()}, {memory_mb})"
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=os.environ | _ENVIRONMENT,
                start_new_session=True,  # a group of its own, out of reach of Ctrl-C
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._reaping = threading.Lock()
        self.is_usable = True

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, request: Request) -> Answer | Lost:
        """Send, wait for the start, then for the answer until the deadline; kill past that."""
        try:
            self._send(request)
            frame = self._channel.receive(time.monotonic() + self._start_seconds)
        except TimeoutError:
            self.kill()
            return Failed("timeout", f"not ready after {self._start_seconds:g} s of imports")
        except ClosedError:
            return self._lost("before it started")
        return self._finish(request) if frame == STARTED else self._read(frame)

    def prepare(self, request: Request) -> None:
        """Have modules imported, without waiting. A worker that cannot is found out later."""
        with contextlib.suppress(ClosedError):
            self._send(request)

    def _send(self, request: Request) -> None:
        if (path := python_path()) != self._path:
            request, self._path = replace(request, path=path), path
        self._channel.send(pickle.dumps(request), self._start_seconds)

    def _finish(self, request: Request) -> Answer | Lost:
        began = time.monotonic()
        try:
            return self._read(self._channel.receive(began + request.deadline_seconds))
        except TimeoutError:
            self.kill()
            return _too_long(request, time.monotonic() - began)
        except ClosedError:
            lost = self._lost("while it worked")
        seconds = time.monotonic() - began
        if self._process.returncode == -signal.SIGALRM:
            return _too_long(request, seconds)
        if self._process.returncode in _FROM_OUTSIDE:
            return lost
        return Failed("crash", lost.detail, seconds)

    def _read(self, frame: bytes) -> Answer | Lost:
        try:
            kind, value, seconds, is_last = load_plain(frame)
        except (pickle.UnpicklingError, TypeError, ValueError) as error:
            self.kill()
            return Failed("exception", f"the value cannot travel: {error}")
        self.is_usable = not is_last
        return Done(value, seconds) if kind == "done" else Failed(kind, value, seconds)

    def _lost(self, when: str) -> Lost:
        """The connection broke: make sure that the process is gone, and say how it went."""
        with self._reaping, contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)  # its own end, if it is ending, rather than ours
        self.kill()
        self.discard()
        return Lost(f"the worker died {when} ({_how_it_ended(self._process.returncode)})")

    def kill(self) -> None:
        """SIGKILL to the whole group; from any thread, at any time."""
        self.is_usable = False
        with self._reaping:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def discard(self) -> None:
        """Kill, reap and close: nothing of the worker stays behind."""
        self.kill()
        self._channel.close()
        with self._reaping, contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_SECONDS)

    def forget(self) -> None:
        """In a forked child: the worker is the parent's; only our copy of its socket goes."""
        self._channel.close()
        self._process.returncode = 0


def _too_long(request: Request, seconds: float) -> Failed:
    return Failed("timeout", f"no answer after {request.deadline_seconds:g} s", seconds)


def _how_it_ended(returncode: int | None) -> str:
    if returncode is None:
        return "not yet gone"
    if returncode >= 0:
        return f"exit code {returncode}"
    return f"signal {-returncode}"
