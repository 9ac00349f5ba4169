"""Work in forked processes, each killed before a moment of its own if it says so."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Container

from ponder.errors import PonderError

CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.truncate", "os.mkdir"})
"""System calls that change the disk, as Python's audit events name them."""
REFUSED = 3
"""The exit code of work that ended with a PonderError."""


def die_before(number: int, events: Container[str] = CHANGES) -> None:
    """From now on: kill -9 this process before its event number ``number``, from 1."""
    seen = 0

    def hook(event: str, _: object) -> None:
        nonlocal seen
        if event in events:
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def forked(work: Callable[[], object]) -> int:
    """The exit code of ``work`` in a process of its own: 0, ``REFUSED``, 1, or minus the signal."""
    return exit_code(begun(work))


def begun(work: Callable[[], object]) -> int:
    """The pid of a process that does ``work`` and ends."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except PonderError as error:
            print(error)
            os._exit(REFUSED)
        except BaseException:  # noqa: BLE001 - a child must not go on as a second pytest
            traceback.print_exc()
            os._exit(1)
    return child


def exit_code(child: int) -> int:
    """Of a process that ``begun`` made, when it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
