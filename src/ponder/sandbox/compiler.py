"""C++ programs: compiled in the sandbox, once per source, into a static executable."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from ponder.errors import PonderError
from ponder.sandbox.files import Descriptors, sealed_file
from ponder.sandbox.jobs import Limits, Outcome
from ponder.sandbox.users import User
from ponder.sandbox.zygotes import ENVIRONMENT, FLAGS, boot, interpreter

_MEMORY_BYTES = 1 << 30
_MAX_BINARY_BYTES = 32 << 20
_MAX_MESSAGES = 1 << 16
_MAX_KEPT = 64
_OPTIONS = ("-x", "c++", "-std=gnu++17", "-O2", "-static", "-pipe", "-o", "program", "-")


def find_compiler() -> str | None:
    """The path of ``g++``, if this machine has one."""
    return shutil.which("g++", path="/usr/bin:/usr/local/bin:/bin")


class Compiler:
    """Compiles, and keeps the last 64 executables (or failures) by the hash of their source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, bytes | Outcome] = OrderedDict()

    def compile(self, source: str, user: User, limits: Limits) -> bytes | Outcome:
        """An executable, or how the compilation failed; PonderError without a compiler."""
        text = source.encode("utf-8", "surrogateescape")
        key = hashlib.sha256(text).digest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = _compile(text, user, limits)
        if isinstance(made, bytes) or made.status == "crashed":
            with self._lock:
                self._kept[key] = made
                while len(self._kept) > _MAX_KEPT:
                    self._kept.popitem(last=False)
        return made


def _compile(text: bytes, user: User, limits: Limits) -> bytes | Outcome:
    found = find_compiler()
    if found is None:
        raise PonderError(
            "g++", None, "a C++ program needs a compiler; install g++ (Debian: apt install g++)"
        )
    folder = tempfile.mkdtemp(prefix="ponder-compile-")
    try:
        if user.number is not None:
            os.chown(folder, user.number, user.number)
        failure = _run([found, *_OPTIONS], text, folder, user, limits)
        return failure or _binary(Path(folder) / "program")
    finally:
        shutil.rmtree(folder)


def _run(
    command: list[str], text: bytes, folder: str, user: User, limits: Limits
) -> Outcome | None:
    """Run the compiler in its folder; how it failed, if it did."""
    told = {
        "code": str(Path(__file__).parent),
        "command": command,
        "folder": folder,
        "user": user.number,
        "memory_bytes": _MEMORY_BYTES,
        "cpu_seconds": math.ceil(limits.compile_seconds) + 1,
    }
    started = time.monotonic()
    with Descriptors() as held, tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            [interpreter(), FLAGS, "-c", boot("compiling"), json.dumps(told)],
            stdin=held.add(sealed_file(text, "source")),
            stdout=subprocess.DEVNULL,
            stderr=messages,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        try:
            code = process.wait(limits.compile_seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the tools that it started
            process.wait()
        messages.seek(0)
        said = messages.read(_MAX_MESSAGES)
    return _failure(code, said, command[0], limits, time.monotonic() - started)


def _failure(
    code: int | None, said: bytes, found: str, limits: Limits, seconds: float
) -> Outcome | None:
    if code == 0:
        return None
    if code is None:
        detail = f"the compiler took more than {limits.compile_seconds:g} s"
        return Outcome("timeout", stderr=said, seconds=seconds, detail=detail)
    if b"cannot find -l" in said:
        fix = "install its static libraries (Fedora: dnf install glibc-static libstdc++-static)"
        raise PonderError("g++", found, fix)
    errors = [line for line in said.decode("utf-8", "replace").splitlines() if "error:" in line]
    detail = f"does not compile: {errors[0] if errors else f'exit code {code}'}"
    return Outcome("crashed", stderr=said, exit_code=max(code, 1), seconds=seconds, detail=detail)


def _binary(path: Path) -> bytes | Outcome:
    """The executable that hostile hands made: a plain file of bounded size, or a failure."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return Outcome("crashed", detail="does not compile: no executable came out")
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _MAX_BINARY_BYTES:
            return Outcome("crashed", detail="does not compile: the executable is too large")
        return file.read()
