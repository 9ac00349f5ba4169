"""Attempts to break out, for ``ponder sandbox --doctor``: each must fail, here and now."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.sandbox.jobs import Limits, Outcome, ScriptJob, Status
from ponder.sandbox.sandbox import Sandbox

_WORD = b"ESCAPED"
_LIMITS = Limits(wall_seconds=1.0, memory_mb=128, output_bytes=1 << 16)
_CALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
done = libc.{call}
print("ESCAPED" if done >= 0 else "errno", ctypes.get_errno())
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A program that prints ESCAPED if it got out, and the statuses that a failure may have."""

    name: str
    source: str
    statuses: tuple[Status, ...] = ("crashed",)


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of an attempt."""

    name: str
    is_blocked: bool
    how: str
    seconds: float


def _system_call(name: str, call: str) -> Attempt:
    return Attempt(name, _CALL.format(call=call), ("finished", "crashed", "refused"))


ATTEMPTS = (
    Attempt("start a process", "import os\nos.fork()\nprint('ESCAPED')"),
    Attempt("run a shell", "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED'])"),
    Attempt("open a socket", "import socket\nsocket.socket()\nprint('ESCAPED')"),
    Attempt("write a file", "open('/tmp/ponder-escape', 'w').write('x')\nprint('ESCAPED')"),
    Attempt("write shared memory", "open('/dev/shm/ponder-escape', 'w')\nprint('ESCAPED')"),
    Attempt("make a folder", "import os\nos.mkdir('/tmp/ponder-escape')\nprint('ESCAPED')"),
    Attempt("read /etc/passwd", "open('/etc/passwd').read()\nprint('ESCAPED')"),
    Attempt("list /", "import os\nos.listdir('/')\nprint('ESCAPED')"),
    Attempt(
        "read the parent's memory",
        "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')\nprint('ESCAPED')",
    ),
    Attempt("kill the parent", "import os\nos.kill(os.getppid(), 9)\nprint('ESCAPED')"),
    Attempt("kill everybody", "import os\nos.kill(-1, 9)\nprint('ESCAPED')"),
    Attempt("become root", "import os\nos.setuid(0)\nprint('ESCAPED')"),
    Attempt(
        "raise a limit",
        "import resource as r\n"
        "r.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY, r.RLIM_INFINITY))\nprint('ESCAPED')",
    ),
    _system_call("trace the parent", "ptrace(16, __import__('os').getppid(), 0, 0)"),
    _system_call("new user namespace", "unshare(0x10000000)"),
    _system_call("file in memory", "memfd_create(b'x', 0)"),
    _system_call("mount", "mount(b'none', b'/tmp', b'tmpfs', 0, None)"),
    Attempt("take all memory", "x = bytearray(1 << 40)", ("memory",)),
    Attempt("endless output", "while True: print('x' * 1000)", ("output",)),
    Attempt("endless loop", "while True: pass", ("timeout",)),
    Attempt("sleep for ever", "import time\ntime.sleep(1e6)", ("timeout",)),
)


def attempt_escapes(sandbox: Sandbox) -> list[Attempted]:
    """Run every attempt; first a harmless program, which must not be blocked."""
    harmless = sandbox.run(ScriptJob("print(6 * 7)"), _LIMITS)
    works = (harmless.status, harmless.stdout) == ("finished", b"42\n")
    first = Attempted("run a program", works, _how(harmless), harmless.seconds)
    return [first, *(_attempt(sandbox, attempt) for attempt in ATTEMPTS)]


def _attempt(sandbox: Sandbox, attempt: Attempt) -> Attempted:
    outcome = sandbox.run(ScriptJob(attempt.source), _LIMITS)
    is_blocked = outcome.status in attempt.statuses and _WORD not in outcome.stdout
    return Attempted(attempt.name, is_blocked, _how(outcome), outcome.seconds)


def _how(outcome: Outcome) -> str:
    if outcome.status == "finished":
        return outcome.stdout.decode("utf-8", "replace").strip()[:100]
    return f"{outcome.status}: {outcome.detail}"[:100]
