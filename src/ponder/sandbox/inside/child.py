"""One run: a spare child that waits for its job, gives up the rest, and becomes the program."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
from typing import NamedTuple, NoReturn

from . import harness, kernel, seccomp, syscalls
from .request import CALL, CHECK, CPP, REQUEST_BYTES, TAKEN, Request

# The zygote keeps its own descriptors above these, so the ones that a request brings get the
# numbers 3, 4, 5 (to become 0, 1, 2), then 6 the program, 7 the result, 8 the tests.
FIRST_KEPT = 16
NUM_FILES = 64
_FIRST_SENT, _PROGRAM, _RESULT, _TESTS = 3, 6, 7, 8
_MAX_SENT = 6
_AT_EMPTY_PATH = 0x1000
_ENVIRONMENT = (b"LANG=C.UTF-8", b"PATH=/usr/bin:/bin")


class Cell(NamedTuple):
    """What every child of a zygote has in common."""

    zygote_pid: int
    channel: socket.socket
    interpreter_bytes: int  # address space of the zygote: what a program starts with


def run(cell: Cell, report: int) -> NoReturn:
    """Wait for a job and become the program. Never returns.

    ``report`` is a pipe to the zygote: TAKEN once a job has come, then our own trouble, if any. It
    is closed before the program is read, so what it says no program can say.
    """
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != cell.zygote_pid:
            os._exit(1)
        data, descriptors, _, _ = socket.recv_fds(cell.channel, REQUEST_BYTES, _MAX_SENT)
        if not data:
            os._exit(0)
        os.write(report, TAKEN)
        _become(Request.unpack(data), descriptors, cell, report)
    except BaseException as error:  # noqa: BLE001  (nothing may get back into the zygote)
        os.write(report, repr(error).encode())
    finally:
        os._exit(1)


def _become(request: Request, descriptors: list[int], cell: Cell, report: int) -> None:
    if descriptors != list(range(_FIRST_SENT, _FIRST_SENT + len(descriptors))):
        raise OSError(f"descriptors {descriptors}")
    for place in range(3):
        os.dup2(_FIRST_SENT + place, place)
        os.close(_FIRST_SENT + place)
    os.closerange(_TESTS + 1, report)
    os.closerange(report + 1, NUM_FILES)
    _limit(request, cell)
    if request.kind == CPP:
        _execute()
    kernel.install_filter(seccomp.program_filter(os.getpid()))
    os.close(report)
    result = _RESULT if request.kind in (CALL, CHECK) else None
    harness.run(_PROGRAM, result, _TESTS if request.kind == CHECK else None)


def _limit(request: Request, cell: Cell) -> None:
    base = 0 if request.kind == CPP else cell.interpreter_bytes
    limit(resource.RLIMIT_AS, base + request.memory_bytes)
    limit(resource.RLIMIT_CPU, request.cpu_seconds, request.cpu_seconds + 1)
    if request.num_processes:
        limit(resource.RLIMIT_NPROC, request.num_processes)


def limit(which: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, never above the one that is already in force."""
    ceiling = resource.getrlimit(which)[1]
    wanted = [soft, soft if hard is None else hard]
    if ceiling != resource.RLIM_INFINITY:
        wanted = [min(value, ceiling) for value in wanted]
    resource.setrlimit(which, (wanted[0], wanted[1]))


def _execute() -> NoReturn:
    """Run a compiled program from its descriptor; that and ``report`` close with the exec."""
    number = syscalls.number("execveat")
    assert number is not None  # every Linux that has Landlock has it
    arguments = (ctypes.c_char_p * 2)(b"program", None)
    environment = (ctypes.c_char_p * 3)(*_ENVIRONMENT, None)
    os.set_inheritable(_PROGRAM, False)  # as received it would stay open
    for caught in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(caught, signal.SIG_DFL)
    kernel.install_filter(seccomp.program_filter(os.getpid(), binary=_PROGRAM))
    kernel.call(number, _PROGRAM, b"", arguments, environment, _AT_EMPTY_PATH)
    raise AssertionError("execveat came back")
