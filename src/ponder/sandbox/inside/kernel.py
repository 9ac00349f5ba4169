"""The calls of the kernel that Python has no name for, by ctypes."""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
SECCOMP_MODE_FILTER = 2

CLONE_NEWUSER = 0x10000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


class _Program(ctypes.Structure):  # struct sock_fprog
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class _Header(ctypes.Structure):  # of capset
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def prctl(option: int, *arguments: int) -> int:
    """``prctl(2)``; raises OSError where the kernel refuses."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(int(_libc.prctl(option, *padded)), "prctl")


def call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char_p] | None) -> int:
    """A system call by number; raises OSError where the kernel refuses."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *words)), f"system call {number}")


def unshare(flags: int) -> None:
    """Leave namespaces that were shared with the parent; raises OSError."""
    _checked(int(_libc.unshare(ctypes.c_int(flags))), "unshare")


def install_filter(program: bytes) -> None:
    """Filter this thread's system calls from here on, through exec and clone, for good."""
    held = _Program(len(program) // 8, program)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(held))


def drop_capabilities() -> None:
    """Give up every capability, also those that a new user namespace brought."""
    nothing = (ctypes.c_uint32 * 6)()
    header = _Header(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
    _checked(int(_libc.capset(ctypes.byref(header), ctypes.byref(nothing))), "capset")


def _checked(value: int, what: str) -> int:
    if value < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return value
