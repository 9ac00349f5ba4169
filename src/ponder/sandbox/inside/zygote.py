"""The zygote: a small Python that has given up its rights, and forks a child for every run.

It never reads a program: source, input and tests are in files that only the child opens, so one
run leaves nothing in memory for the next. A spare child is always forked ahead, confined and
waiting, so that a run need not wait for its fork. The zygote ends when the trusted side does.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from typing import Any, NamedTuple, NoReturn

from . import child, harness, kernel, landlock, seccomp, stdlib
from .request import FAILED, READY, STARTED, TAKEN, Ended

_LOOK_UP_MS = 1000  # how often to look whether the parent is still there
_STACK_BYTES = 64 << 20


def main(told: dict[str, Any]) -> None:
    """Prepare, say ready (or what failed), and serve until the other side is gone."""
    channel = socket.socket(
        fileno=fcntl.fcntl(told["channel"], fcntl.F_DUPFD_CLOEXEC, child.FIRST_KEPT)
    )
    os.close(told["channel"])
    try:
        has_namespaces, interpreter_bytes = _prepare(told["user"])
        cell = child.Cell(os.getpid(), channel, interpreter_bytes)
        _confine()
    except Exception as error:  # noqa: BLE001  (told to the parent, which raises it)
        channel.send(FAILED + repr(error).encode())
        return
    channel.send(READY + json.dumps({"namespaces": has_namespaces}).encode())
    Zygote(channel, cell, told["parent"]).serve()


def _prepare(user: int | None) -> tuple[bool, int]:
    """Load what programs use, and change the user.

    Whether namespaces of our own could be had, and the address space that is taken by now.
    """
    stdlib.preload()
    sys.modules["site"].setquit()  # exit() and quit(), which programs call
    harness.put_placeholders()
    harness.open_streams()
    rules = landlock.ruleset(
        [(path, landlock.READ_FILE | landlock.READ_DIR) for path in stdlib.readable_entries()]
    )
    stdlib.enter()
    has_namespaces = _leave_namespaces(user)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    taken = _address_space()
    landlock.restrict(rules)
    os.close(rules)
    return has_namespaces, taken


def _leave_namespaces(user: int | None) -> bool:
    """Network and System V IPC of its own, where the kernel lets us: a layer more, not needed."""
    own = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC
    try:
        if user is not None:
            kernel.unshare(own)
        else:
            real_user, real_group = os.getuid(), os.getgid()
            kernel.unshare(own | kernel.CLONE_NEWUSER)
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{real_user} {real_user} 1")
            _write("/proc/self/gid_map", f"{real_group} {real_group} 1")
    except OSError:
        return False
    return True


def _confine() -> None:
    """Limits and the filter that every run shares; from here on nothing can be opened."""
    for which, value in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, child.NUM_FILES),
        (resource.RLIMIT_STACK, _STACK_BYTES),
    ):
        child.limit(which, value)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    kernel.install_filter(seccomp.zygote_filter())
    seccomp.program_filter(os.getpid())  # computed here, once; children change one number
    gc.collect()
    gc.freeze()  # children share these pages: a collection must not write to them
    gc.disable()


class _Child(NamedTuple):
    pid: int
    process: int  # a descriptor of the process, readable when it has ended
    report: int  # what it says before its program runs


class Zygote:
    """Forks ahead, watches, reports."""

    def __init__(self, channel: socket.socket, cell: child.Cell, parent: int) -> None:
        self._channel, self._cell, self._parent = channel, cell, parent

    def serve(self) -> NoReturn:
        """Fork, and when that child has a job fork the next, and tell how the first one ends."""
        current = self._fork()
        while True:
            self._wait(current.report, current)
            taken = os.read(current.report, len(TAKEN))
            if taken != TAKEN:
                self._leave(current)
            spare = self._fork()
            self._wait(current.process, current, spare)
            self._tell_end(current)
            current = spare

    def _fork(self) -> _Child:
        report, report_end = os.pipe()
        kept = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, child.FIRST_KEPT)
        kept_end = fcntl.fcntl(report_end, fcntl.F_DUPFD_CLOEXEC, child.FIRST_KEPT)
        os.close(report)
        os.close(report_end)
        pid = os.fork()
        if pid == 0:
            child.run(self._cell, kept_end)
        os.close(kept_end)
        low = os.pidfd_open(pid)
        process = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, child.FIRST_KEPT)
        os.close(low)
        socket.send_fds(self._channel, [STARTED], [process])
        return _Child(pid, process, kept)

    def _wait(self, descriptor: int, *children: _Child) -> None:
        """Until a descriptor is readable; leave if the other side is gone before that."""
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.register(self._channel, 0)  # a hang-up only: what is sent is for a child to read
        while True:
            events = poller.poll(_LOOK_UP_MS)
            if any(found == descriptor for found, _ in events):
                return
            if events or os.getppid() != self._parent:
                self._leave(*children)

    def _tell_end(self, ended: _Child) -> None:
        _, status, usage = os.wait4(ended.pid, 0)
        trouble = os.read(ended.report, 1000)
        os.close(ended.report)
        os.close(ended.process)
        seconds = usage.ru_utime + usage.ru_stime
        message = Ended(status, seconds, usage.ru_maxrss).pack()
        self._channel.send(FAILED + trouble if trouble else message)

    def _leave(self, *children: _Child) -> NoReturn:
        for left in children:
            os.kill(left.pid, signal.SIGKILL)
            os.waitpid(left.pid, 0)
        os._exit(0)


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
