"""Landlock: which files a run may read. Everything else, and all writing, is denied.

Kernel documentation: Documentation/userspace-api/landlock.rst. ABI 1 is Linux 5.13.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from . import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
SPECIAL_FILES = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12  # devices, sockets, fifos, links
_FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14 | 1 << 15  # + TRUNCATE, IOCTL_DEV
_NUM_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # from ABI 5: 16
_NETWORK_RIGHTS = 0b11  # bind and connect of TCP, from ABI 4
_SCOPES = 0b11  # abstract unix sockets and signals, from ABI 6


def abi() -> int:
    """The version of Landlock that this kernel has; 0 where there is none."""
    try:
        return kernel.call(_CREATE, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def all_fs_rights(version: int) -> int:
    return (1 << _NUM_FS_RIGHTS.get(version, 16)) - 1


def ruleset(allowed: Iterable[tuple[str, int]]) -> int:
    """A descriptor of rules that deny all of the file system but ``(path, rights)``.

    A path that is not there is passed over: it cannot be read either. Where the kernel can, TCP,
    abstract sockets and signals to processes outside are denied too.
    """
    version = abi()
    fs = all_fs_rights(version)
    words = [fs]
    if version >= 4:
        words.append(_NETWORK_RIGHTS)
    if version >= 6:
        words.append(_SCOPES)
    attributes = struct.pack(f"={len(words)}Q", *words)
    descriptor = kernel.call(_CREATE, attributes, len(attributes), 0)
    for path, rights in allowed:
        _allow(descriptor, path, rights & fs)
    return descriptor


def restrict(descriptor: int) -> None:
    """Hold this thread, and all it starts, to the rules. Needs no-new-privileges."""
    kernel.call(_RESTRICT, descriptor, 0)


def _allow(descriptor: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, 0o10000000 | os.O_CLOEXEC)  # O_PATH
    except (FileNotFoundError, PermissionError):
        return
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        kernel.call(_ADD_RULE, descriptor, _PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)
