"""What isolation this machine has, and what to do where a piece is missing."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from ponder.errors import PonderError
from ponder.sandbox.compiler import find_compiler
from ponder.sandbox.zygotes import interpreter

_CAP_SETGID, _CAP_SETUID = 6, 7
_MACHINES = ("x86_64", "aarch64")


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing looked for. ``fix`` says what to do where it is missing and ``is_needed``."""

    name: str
    found: str
    is_there: bool
    is_needed: bool = True
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """All that was looked for."""

    pieces: tuple[Piece, ...]

    @property
    def missing(self) -> tuple[Piece, ...]:
        return tuple(p for p in self.pieces if p.is_needed and not p.is_there)

    @property
    def ok(self) -> bool:
        return not self.missing

    def refuse(self) -> None:
        """PonderError with every missing piece and its fix, if there is one."""
        if self.ok:
            return
        fixes = "; ".join(f"{piece.name}: {piece.found}, so {piece.fix}" for piece in self.missing)
        raise PonderError(
            "sandbox",
            "not isolated",
            f"{fixes}; or run hostile programs unprotected, at your own risk: unsafe=true for "
            "ponder train, --unsafe for ponder judge and ponder eval",
        )


def probe() -> Probe:
    """Look at the machine; takes a millisecond and changes nothing."""
    if sys.platform != "linux":
        fix = "use Linux 5.13 or later (on macOS, a Linux virtual machine such as Lima or Colima)"
        return Probe((Piece("system", platform.system(), False, fix=fix),))
    return Probe((_machine(), _kernel(), _landlock(), _filter(), _user(), _python(), _compiler()))


def _machine() -> Piece:
    found = platform.machine()
    return Piece("machine", found, found in _MACHINES, fix="use x86-64 or 64-bit Arm")


def _kernel() -> Piece:
    return Piece("kernel", f"Linux {platform.release()}", True, is_needed=False)


def _landlock() -> Piece:
    from ponder.sandbox.inside import landlock

    version = landlock.abi()
    fix = (
        "use Linux 5.13 or later with landlock in its list of security modules (boot parameter "
        "lsm=landlock,...; in a container, a seccomp profile that lets the calls through)"
    )
    return Piece("landlock", f"version {version}" if version else "none", version > 0, fix=fix)


def _filter() -> Piece:
    path = Path("/proc/sys/kernel/seccomp/actions_avail")
    try:
        actions = path.read_text(encoding="ascii").split()
    except OSError:
        actions = []
    there = {"kill_process", "errno", "allow"} <= set(actions)
    fix = "use a kernel with CONFIG_SECCOMP_FILTER (every distribution's has it) and /proc mounted"
    return Piece("seccomp", "filters" if there else "none", there, fix=fix)


def _user() -> Piece:
    if os.geteuid() != 0:
        return Piece("user", f"{os.geteuid()}; runs are the same user's", True)
    can = _has_capability(_CAP_SETUID) and _has_capability(_CAP_SETGID)
    found = "root; runs get users of their own" if can else "root that may not change its user"
    fix = "start as an ordinary user, or give the container CAP_SETUID and CAP_SETGID"
    return Piece("user", found, can, fix=fix)


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def _python() -> Piece:
    found = interpreter()
    there = os.access(found, os.X_OK) and sys.version_info >= (3, 11)
    version = platform.python_version()
    return Piece("python", f"{version}, {found}", there, fix="run Ponder with Python 3.11 to 3.13")


def _compiler() -> Piece:
    found = find_compiler()
    fix = "install g++ to run C++ programs"
    return Piece("g++", found or "none", found is not None, is_needed=False, fix=fix)
