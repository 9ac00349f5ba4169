"""What a sandbox is asked to run, within which limits, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from ponder.errors import PonderError

Status = Literal["finished", "timeout", "memory", "output", "crashed", "refused"]


class SandboxLost(Exception):  # noqa: N818
    """The sandbox itself failed, twice, at a job: our fault, never the program's.

    A verifier turns it into the verdict ``error``.
    """


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use.

    Args:
        wall_seconds: from the start of the program; then SIGKILL. Processor time has a limit of
            its own, the same number rounded up to a second and one more.
        memory_mb: address space in MiB that the program may take on top of the bare interpreter.
        output_bytes: stdout and stderr together; the first byte more kills the program.
        result_bytes: the returned value of a ``CallJob``, in its JSON form.
        num_threads: threads at once, the main one included. It binds where the sandbox has a user
            (or a user namespace) of its own; elsewhere memory alone bounds them.
        compile_seconds: wall time of the compiler, for a ``CppJob``.
    """

    wall_seconds: float = 2.0
    memory_mb: int = 256
    output_bytes: int = 1 << 20
    result_bytes: int = 1 << 20
    num_threads: int = 32
    compile_seconds: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < 1 << 31:
                raise PonderError(f"limits.{field.name}", value, "must be above 0 and finite")


@dataclass(frozen=True, slots=True)
class ScriptJob:
    """A Python program, run as ``__main__`` with ``stdin`` to read (a seekable file)."""

    source: str
    stdin: bytes = b""


@dataclass(frozen=True, slots=True)
class CallJob:
    """One call of a function that a Python program defines; its value comes back as ``result``.

    The program runs as a module that is not ``__main__``, then ``function`` is called: a name of
    the module, ``Class.method`` (of ``Class()``), or a method of ``Solution()`` if the module
    defines that class and no such function. ``args_json`` is a JSON list of positional
    arguments, or an object of keyword arguments.

    Arguments and result are JSON, with tags for what JSON has not: ``{"$tuple": [...]}``,
    ``$set``, ``$frozenset``, ``{"$dict": [[key, value], ...]}`` (keys that are not plain
    strings), ``$bytes`` (hex), ``$complex``, ``$int`` (hex, beyond 4,000 digits). Write
    arguments with ``values.encode`` and read results with ``values.decode``, which raises
    ValueError on what is no such text: the program can write whatever it likes there.

    ``finished`` with ``result`` None means that the program left before the value was written
    (``os._exit(0)``, ``sys.exit()``): never a pass.
    """

    source: str
    function: str
    args_json: str = "[]"


@dataclass(frozen=True, slots=True)
class CheckJob:
    """A Python program, run as a module, and test code that runs after it in its namespace.

    ``Outcome.passed`` is True when the test code ran to its end. The child then sends back a
    nonce that it reads from a pipe only after the tests, so exit codes, early exits and printed
    words gain nothing. Weaker than the other two: program and tests share one process, so a
    program written against this very harness can read the tests and the nonce, and an object
    whose ``__eq__`` says yes passes any ``assert``. Use ``CallJob`` where the tests allow it.
    """

    source: str
    check_source: str


@dataclass(frozen=True, slots=True)
class CppJob:
    """A C++17 program, compiled (``g++ -O2 -static``) and run, both inside the sandbox.

    Where there is no compiler, a ``PonderError`` says what to install. A program that does not
    compile is ``crashed``, with the compiler's words in ``stderr`` and ``detail``.
    """

    source: str
    stdin: bytes = b""


Job = ScriptJob | CallJob | CheckJob | CppJob


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Args:
        status: ``finished`` is exit code 0; ``timeout`` the wall clock or the processor limit;
            ``memory`` a MemoryError that nobody caught, or the kernel's OOM killer; ``output`` more
            than ``output_bytes`` (or ``result_bytes``); ``crashed`` an exception, another exit code
            or a signal; ``refused`` a system call of a foreign architecture (SIGSYS).
        stdout, stderr: what was written up to the end or the cap, raw.
        result: of a ``CallJob``, tagged JSON that the program wrote: untrusted text.
        exit_code: None where a signal ended the program; ``signal`` then says which.
        seconds: wall time from the start of the program to its end.
        cpu_seconds: user and system time of the program.
        passed: of a ``CheckJob``, whether the tests ran to their end.
        detail: a few words where the status does not say it all.
    """

    status: Status
    stdout: bytes = b""
    stderr: bytes = b""
    result: bytes | None = None
    exit_code: int | None = None
    signal: int | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    passed: bool = False
    detail: str = ""
