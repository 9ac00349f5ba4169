"""One run, from the fork on: give everything up, then hand over to the program."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from dataclasses import dataclass
from typing import NoReturn

from . import harness, kernel, landlock, seccomp
from .request import CALL, CHECK, CPP, Request

_NUM_FILES = 64
_STACK_BYTES = 64 << 20
_FIRST_FREE = 64  # descriptors are moved above this number, then down to their places
_ENVIRONMENT = [b"LANG=C.UTF-8", b"PATH=/usr/bin:/bin"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What every child of a zygote has in common."""

    zygote_pid: int
    ruleset: int
    interpreter_bytes: int  # address space of the zygote: what a program starts with


def run(request: Request, descriptors: list[int], cell: Cell) -> NoReturn:
    """Become the program. Never returns.

    ``descriptors`` are stdin, stdout, stderr, the job, then the result and the tests where the
    kind has them, and last a pipe for our own trouble, which is closed before the program runs:
    what it says, no program can say.
    """
    trouble = descriptors[-1]
    try:
        trouble = _confine(request, descriptors, cell)
        if request.kind == CPP:
            _execute(3)
        kernel.install_filter(seccomp.python_filter(os.getpid()))
        os.close(trouble)
    except BaseException as error:  # noqa: BLE001  (nothing may get back into the zygote)
        os.write(trouble, repr(error).encode())
        os._exit(1)
    result = 4 if request.kind in (CALL, CHECK) else None
    try:
        harness.run(3, result, 5 if request.kind == CHECK else None)
    finally:
        os._exit(1)


def _confine(request: Request, descriptors: list[int], cell: Cell) -> int:
    """All but the filter of system calls; where the pipe for trouble is now."""
    os.setsid()
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != cell.zygote_pid:
        raise ProcessLookupError("the zygote is gone")
    landlock.restrict(cell.ruleset)
    count = _place(descriptors)
    _limit(request, cell)
    return count - 1


def _place(descriptors: list[int]) -> int:
    """Move descriptors to 0, 1, 2, ... and close every other one; how many there are."""
    import fcntl

    high = [fcntl.fcntl(d, fcntl.F_DUPFD, _FIRST_FREE) for d in descriptors]
    for place, descriptor in enumerate(high):
        os.dup2(descriptor, place, inheritable=place < 3)
    os.closerange(len(high), 1 << 16)
    return len(high)


def _limit(request: Request, cell: Cell) -> None:
    base = 0 if request.kind == CPP else cell.interpreter_bytes
    _set(resource.RLIMIT_AS, base + request.memory_bytes)
    _set(resource.RLIMIT_CPU, request.cpu_seconds, request.cpu_seconds + 1)
    _set(resource.RLIMIT_FSIZE, 0)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, _NUM_FILES)
    _set(resource.RLIMIT_STACK, min(_STACK_BYTES, request.memory_bytes))
    if request.num_processes:
        _set(resource.RLIMIT_NPROC, request.num_processes)


def _set(which: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, never above the one that is already in force."""
    ceiling = resource.getrlimit(which)[1]
    wanted = [soft, soft if hard is None else hard]
    if ceiling != resource.RLIM_INFINITY:
        wanted = [min(value, ceiling) for value in wanted]
    resource.setrlimit(which, (wanted[0], wanted[1]))


def _execute(binary: int) -> NoReturn:
    """Run a compiled program from its descriptor."""
    number = seccomp.number("execveat")
    assert number is not None
    arguments = (ctypes.c_char_p * 2)(b"program", None)
    environment = (ctypes.c_char_p * 3)(*_ENVIRONMENT, None)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    kernel.install_filter(seccomp.binary_filter(os.getpid(), binary))
    kernel.call(number, binary, b"", arguments, environment, 0x1000)
    raise AssertionError("execveat came back")
