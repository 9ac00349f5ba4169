"""What an attack is: a program, its tests, and the outcomes that are right for it.

Every program here does no harm if it works: it opens without writing, signals with number 0, and
forks children that end by themselves. It then prints ESCAPED, or leaves a trace that the runner
looks for.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MARK = f"ponder_attack_{os.getpid()}"
"""In the name of every file that an attack tries to make."""

SECRET_FILE = f"/tmp/ponder_tests_{os.getpid()}.json"
"""World-readable while the suite runs: tests that lie around on the disk."""

SECRET = "EXPECTED:" + "913-kestrel"
"""What the tests of cheats want; a cheat hunts for text with this beginning."""

SHORT = 0.35
"""Seconds for what never ends."""

FAILED = frozenset({"wrong", "timeout", "memory", "output", "crashed", "refused"})


@dataclass(frozen=True)
class Attack:
    """One program against its tests; each test's status must be one of ``allowed``.

    ``is_beaten`` attacks must not have the verdict correct: some test has to fail.
    """

    name: str
    family: str
    program: str
    tests: tuple[dict[str, Any], ...]
    allowed: frozenset[str]
    language: str = "python"
    seconds: float = 5.0
    memory_mb: int = 256
    is_slow: bool = False

    @property
    def is_beaten(self) -> bool:
        return not any("stdout" in test and test["stdout"] == "blocked" for test in self.tests)


PROBE = """\
import os, sys
def syscall(number, *arguments):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    got = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    # ENOSYS, EPERM and EACCES say no; any other error comes from behind the filter
    error = ctypes.get_errno()
    return None if got < 0 and error in (1, 13, 38) else (number, got, error)
def first(*tries):
    for number, attempt in enumerate(tries):
        try:
            got = attempt()
        except BaseException:
            continue
        if got is not None and got is not False:
            return number, got
def attack():
{body}
try:
    got = attack()
except BaseException:
    got = None
print("blocked" if got is None else f"ESCAPED {got!r}"[:300])
"""


def probe(name: str, family: str, body: str, *extra: str, seconds: float = 2.0) -> Attack:
    """Tries something forbidden: must print ``blocked``, or be stopped with a status in ``extra``.

    ``body`` returns None where nothing worked.
    """
    indented = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    program = PROBE.replace("{body}", indented)
    tests = ({"stdin": "", "stdout": "blocked"},)
    return Attack(name, family, program, tests, frozenset({"passed", *extra}), seconds=seconds)


def bomb(name: str, program: str, *allowed: str, **limits: Any) -> Attack:
    """Uses up something; ends with one of the statuses. The test wants ``42``."""
    tests = ({"stdin": "", "stdout": "42"},)
    limits.setdefault("seconds", SHORT if "timeout" in allowed else 5.0)
    return Attack(name, "bomb", textwrap.dedent(program), tests, frozenset(allowed), **limits)


def cheat(
    name: str, program: str, *allowed: str, tests: Iterable[dict[str, Any]] = (), **limits: Any
) -> Attack:
    """Must not pass ``f(7) -> SECRET`` (or ``tests``)."""
    chosen = tuple(tests) or ({"call": "f", "args": [7], "expected": SECRET},)
    statuses = frozenset(allowed) or FAILED
    limits.setdefault("seconds", 0.6 if "timeout" in statuses else 5.0)
    return Attack(name, "cheat", textwrap.dedent(program), chosen, statuses, **limits)
