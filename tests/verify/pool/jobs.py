"""What the workers of these tests are given to do."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ponder.verify.pool import isolated


def double(value: int) -> int:
    return 2 * value


def double_soon(value: int, seconds: float) -> int:
    time.sleep(seconds)
    return 2 * value


def spin() -> None:
    while True:
        pass


def spin_deaf_to_all_signals() -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    spin()


def stuck_in_c(power: int) -> int:
    """Holds the interpreter's lock for ages; no Python signal handler runs meanwhile."""
    return int(7 ** (10**power))


def swallow_everything() -> None:
    while True:
        try:
            time.sleep(0.01)
        except BaseException:  # noqa: BLE001 - that is the point
            continue


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def die_once(marker: str, how: int) -> str:
    """Dies by signal ``how`` at the first call, and returns at the second."""
    if Path(marker).exists():
        return "second"
    Path(marker).touch()
    os.kill(os.getpid(), how)
    time.sleep(10)
    return "first"


def segfault() -> None:
    ctypes.string_at(0)


def count_calls(marker: str) -> None:
    with open(marker, "a") as file:
        file.write("x")
    os.abort()


def unpicklable() -> Any:
    return lambda: 0


def not_plain() -> Any:
    return Path("x")


def hoard(megabytes: int) -> int:
    return len(bytearray(megabytes << 20))


_KEPT: list[bytearray] = []


def keep(megabytes: int) -> int:
    _KEPT.append(bytearray(os.urandom(1 << 20)) * megabytes)
    return os.getpid()


def recurse() -> int:
    return recurse() + 1


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raise_unprintable() -> None:
    raise UnprintableError


def leave_a_thread() -> int:
    threading.Thread(target=spin, daemon=True).start()
    return os.getpid()


def make_noise() -> None:
    for descriptor in (1, 2):
        os.write(descriptor, b"noise\n" * 10_000)
    print("noise", file=sys.stdout, flush=True)
    print("noise", file=sys.stderr, flush=True)


def modules_there(*names: str) -> list[bool]:
    return [name in sys.modules for name in names]


def nested() -> tuple[int, bool]:
    answer = isolated("os:getpid")
    return os.getpid(), getattr(answer, "value", None) == os.getpid()


def fill_pipe() -> None:
    """Writes half a frame to whatever sockets there are, and goes on for ever."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b"\0\0\0\0\0\0\1\0half")
        except OSError:
            continue
    spin()


def forks(_: int) -> int:
    """Comes back twice, in the worker and in a child of it, and the child last."""
    if os.fork() == 0:
        time.sleep(0.1)
    return os.getpid()
