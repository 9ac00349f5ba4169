"""The worker process: reads requests, says when it starts, and answers. Run by ``process``."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from ponder.verify.pool.call import STARTED, Here, Request, describe, function_named
from ponder.verify.pool.channel import (
    MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES,
    Channel,
    ClosedError,
)
from ponder.verify.pool.memory import MemoryLimit

GRACE_SECONDS = 0.3
"""A worker ends itself this long after a deadline at which nobody killed it."""

_PDEATHSIG = 1


def main(descriptor: int, parent: int, memory_mb: int) -> NoReturn:
    """Serve requests until the parent is gone."""
    _settle(parent)
    Here.is_worker = True
    os.set_inheritable(descriptor, False)
    channel = Channel(socket.socket(fileno=descriptor), MAX_REQUEST_BYTES)
    with contextlib.suppress(ClosedError):
        _serve(channel, MemoryLimit(memory_mb))
    os._exit(0)  # no clean-up of libraries may hold us


def _settle(parent: int) -> None:
    """Deaf to Ctrl-C (the parent decides), dead when the parent is, first in line for the OOM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(0)


def _serve(channel: Channel, limit: MemoryLimit) -> None:
    known: set[str] = set()
    ourselves = os.getpid()
    while True:
        request: Request = pickle.loads(channel.receive())
        try:
            call = _prepare(request, known, limit)
        except BaseException as error:  # noqa: BLE001 - whatever an import raises
            if request.function is not None:
                channel.send(_failure("exception", error, 0.0, False))
            continue
        if call is not None:
            channel.send(STARTED)
            frame = _run(call, request.deadline_seconds, limit)
            if os.getpid() != ourselves:  # a fork of the function's own that came back here:
                os._exit(0)  # a second answer would be taken for the next call's
            signal.setitimer(signal.ITIMER_REAL, 0)
            channel.send(frame)


def _prepare(request: Request, known: set[str], limit: MemoryLimit) -> Callable[[], Any] | None:
    """Everything that does not count as work: imports, arguments, the function itself."""
    if request.path is not None:
        sys.path[:] = request.path
    for module in request.modules:
        if module not in known:
            importlib.import_module(module)
    if not known.issuperset(request.modules):
        known.update(request.modules)
        limit.measure()
    if request.function is None:
        return None
    function = function_named(request.function)
    arguments = pickle.loads(request.arguments)
    return lambda: function(*arguments)


def _run(call: Callable[[], Any], deadline_seconds: float, limit: MemoryLimit) -> bytes:
    """The frame that answers. The timer's signal ends this process even inside a C call."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, deadline_seconds + GRACE_SECONDS)
    began = time.perf_counter()
    try:
        limit.apply()
        value = call()
        seconds = time.perf_counter() - began
        frame = pickle.dumps(("done", value, seconds, limit.is_used_up()))
        limit.lift()
    except MemoryError as error:
        limit.lift()
        return _failure("memory", error, time.perf_counter() - began, True)
    except BaseException as error:  # noqa: BLE001 - SystemExit as well: it is the function's
        limit.lift()
        return _failure("exception", error, time.perf_counter() - began, limit.is_used_up())
    if len(frame) > MAX_ANSWER_BYTES:
        too_long = ValueError(f"a value of {len(frame)} bytes")
        return _failure("exception", too_long, seconds, True)
    return frame


def _failure(kind: str, error: BaseException, seconds: float, is_last: bool) -> bytes:
    return pickle.dumps((kind, describe(error), seconds, is_last))
