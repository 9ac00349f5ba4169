"""What runs a program in the child: the last code of ours before the program's own."""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from . import values

PROGRAM = "<program>"
_MAX_RECURSION = 300_000  # frames, about 150 MiB; a larger limit only takes longer to run out

_exit, _write, _pread, _compile, _exec = os._exit, os.write, os.pread, compile, exec
_kill, _getpid, _set_recursion_limit = os.kill, os.getpid, sys.setrecursionlimit


def run(job: int, result: int | None, check: int | None) -> NoReturn:
    """Run the job that descriptor ``job`` holds, and leave the process."""
    told = json.loads(_read_all(job))
    os.close(job)
    work = {"script": _script, "call": _call, "check": _check}[told.pop("kind")]
    code = 1
    gc.enable()
    try:
        code = _guarded(lambda: work(told, result, check))
    except MemoryError:
        die(signal.SIGKILL)
    finally:
        _exit(code)


def die(number: int) -> None:
    """End by a signal that tells the other side why: KILL is memory, XFSZ too large a result."""
    signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
    _kill(_getpid(), number)


def _guarded(work: Callable[[], None]) -> int:
    """Run the work, then end as an interpreter does; the exit code."""
    try:
        work()
        code = 0
    except SystemExit as leaving:
        code = _exit_code(leaving.code)
    except MemoryError:
        _write(2, b"MemoryError\n")
        raise
    except BaseException as error:  # noqa: BLE001  (the program's, whatever it is)
        code = 1
        _report(error)
    return _finish(code)


def _finish(code: int) -> int:
    """Wait for threads, call exit functions, flush; no destructors are run after that."""
    try:
        getattr(threading, "_shutdown")()  # noqa: B009
        getattr(atexit, "_run_exitfuncs")()  # noqa: B009
    except MemoryError:
        raise
    except BaseException as error:  # noqa: BLE001
        _report(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError, AttributeError):
            code = code or 120  # what CPython itself exits with
    return code


def _script(told: dict[str, Any], result: int | None, check: int | None) -> None:
    _exec(_compile(told["source"], PROGRAM, "exec"), _module("__main__"))


def _call(told: dict[str, Any], result: int | None, check: int | None) -> None:
    assert result is not None
    namespace = _module("solution")
    _exec(_compile(told["source"], PROGRAM, "exec"), namespace)
    arguments = values.decode(told["args"])
    function = _function(namespace, told["function"])
    value = function(**arguments) if isinstance(arguments, dict) else function(*arguments)
    text = values.encode(value).encode("ascii")
    if len(text) > told["result_bytes"]:
        die(signal.SIGXFSZ)
    _write_all(result, text)


def _check(told: dict[str, Any], result: int | None, check: int | None) -> None:
    """Tests after the program; their text and the nonce stay in the file until they are due."""
    assert result is not None
    assert check is not None
    namespace = _module("solution")
    _exec(_compile(told["source"], PROGRAM, "exec"), namespace)
    (length,) = struct.unpack("=Q", _pread(check, 8, 0))
    _exec(_compile(_pread(check, length, 8), "<tests>", "exec"), namespace)
    _write_all(result, _pread(check, 64, 8 + length))


def _function(namespace: dict[str, Any], name: str) -> Callable[..., Any]:
    head, _, method = name.partition(".")
    if method:
        found: Callable[..., Any] = getattr(namespace[head](), method)
    elif name not in namespace and isinstance(namespace.get("Solution"), type):
        found = getattr(namespace["Solution"](), name)
    elif name in namespace:
        found = namespace[name]
    else:
        raise NameError(f"the program defines no function {name!r}")
    return found


def _module(name: str) -> dict[str, Any]:
    module = ModuleType(name)
    sys.modules[name] = module
    module.__dict__["__builtins__"] = __builtins__
    return module.__dict__


def put_placeholders() -> None:
    """Under a zygote's streams, what a run has there: a file at 0, pipes at 1 and 2.

    The streams ask once, as they are opened, whether they can seek.
    """
    empty, (reading, writing) = os.memfd_create("stdin"), os.pipe()
    for number, found in enumerate((empty, writing, writing)):
        os.dup2(found, number)
    for found in (empty, reading, writing):
        os.close(found)


def open_streams() -> None:
    """Standard streams over 0, 1 and 2; bytes that are no UTF-8 pass through.

    A zygote's children inherit them, with new files under them.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        errors = "backslashreplace" if number == 2 else "surrogateescape"
        lines = 1 if number == 2 else -1
        stream = open(number, mode, lines, "utf-8", errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv[:] = ["program.py"]
    sys.setrecursionlimit = _set_capped_recursion_limit


def _set_capped_recursion_limit(limit: int) -> None:
    _set_recursion_limit(min(limit, _MAX_RECURSION))


def _exit_code(code: object) -> int:
    if code is None or isinstance(code, int):
        code = code or 0
        return code & 0xFF if abs(code) < 1 << 63 else 0xFF
    _write_text(f"{code}\n")
    return 1


def _report(error: BaseException) -> None:
    """The traceback on stderr, without our own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except MemoryError:
        raise
    except BaseException:  # noqa: BLE001  (an excepthook of the program's)
        _write_text(f"{type(error).__name__}\n")


def _write_text(text: str) -> None:
    _write_all(2, text.encode("utf-8", "backslashreplace"))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[_write(descriptor, data) :]


def _read_all(descriptor: int) -> bytes:
    return _pread(descriptor, os.fstat(descriptor).st_size, 0)
