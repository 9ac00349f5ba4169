"""The zygote: a small Python that has given up its rights, and forks a child for every run.

It reads requests (a few numbers and some descriptors) and never a program: source, input and
tests are in files that only the child opens, so one run leaves nothing in memory for the next.
It ends when the trusted side does.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from typing import Any

from . import child, kernel, landlock, stdlib
from .request import FAILED, READY, REQUEST_BYTES, STARTED, Ended, Request

_MAX_DESCRIPTORS = 8
_LOOK_UP_MS = 1000  # how often to look whether the parent is still there


def main(told: dict[str, Any]) -> None:
    """Prepare, say ready (or what failed), and serve until the other side is gone."""
    channel = socket.socket(fileno=told["channel"])
    try:
        cell, has_namespaces = _prepare(told["user"])
    except Exception as error:  # noqa: BLE001  (told to the parent, which raises it)
        channel.send(FAILED + repr(error).encode())
        return
    channel.send(READY + json.dumps({"namespaces": has_namespaces}).encode())
    _serve(channel, cell, told["parent"])


def _prepare(user: int | None) -> tuple[child.Cell, bool]:
    stdlib.preload()
    sys.modules["site"].setquit()  # exit() and quit(), which programs call
    ruleset = landlock.ruleset(
        [(path, landlock.READ_FILE | landlock.READ_DIR) for path in stdlib.readable_entries()]
    )
    stdlib.enter()
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    has_namespaces = _leave_namespaces(user)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    gc.collect()
    gc.freeze()  # children share these pages: a collection must not write to them
    gc.disable()
    return child.Cell(os.getpid(), ruleset, pages * os.sysconf("SC_PAGE_SIZE")), has_namespaces


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


def _serve(channel: socket.socket, cell: child.Cell, parent: int) -> None:
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    while True:
        if not poller.poll(_LOOK_UP_MS):
            if os.getppid() != parent:
                return
            continue
        data, descriptors, _, _ = socket.recv_fds(channel, REQUEST_BYTES, _MAX_DESCRIPTORS)
        if not data:
            return
        trouble, trouble_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            child.run(Request.unpack(data), [*descriptors, trouble_end], cell)
        for descriptor in (*descriptors, trouble_end):
            os.close(descriptor)
        ended = _watch(channel, pid, parent)
        said = os.read(trouble, 1000)  # only our own code held the other end
        os.close(trouble)
        channel.send(FAILED + said if said else ended.pack())


def _watch(channel: socket.socket, pid: int, parent: int) -> Ended:
    """Tell the other side of the child's start and end; end it if that side is gone."""
    process = os.pidfd_open(pid)
    try:
        socket.send_fds(channel, [STARTED], [process])
        poller = select.poll()
        poller.register(process, select.POLLIN)
        poller.register(channel, select.POLLIN)
        while True:
            events = poller.poll(_LOOK_UP_MS)
            if any(descriptor == process for descriptor, _ in events):
                break
            if events or os.getppid() != parent:  # nothing is sent during a run: it hung up
                os.kill(pid, signal.SIGKILL)
                sys.exit()
    finally:
        os.close(process)
    _, status, usage = os.wait4(pid, 0)
    _reap_the_rest(pid)
    return Ended(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def _reap_the_rest(group: int) -> None:
    """Kill what a compiler may have left of its process group, and wait for it."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                os.killpg(group, signal.SIGKILL)
                os.waitpid(-1, 0)
        except (ChildProcessError, ProcessLookupError):
            return


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
