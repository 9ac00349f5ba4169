"""Writes that survive kill -9 and power loss, and that say something useful on a full disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ponder.errors import PonderError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable (a rename or an unlink is not, until this)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(path: Path) -> int:
    """Bytes free on the file system that holds ``path`` or its nearest existing parent."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def disk_full_error(path: Path) -> PonderError:
    """The error for a write to ``path`` that ran out of space."""
    free = free_bytes(path) / 2**20
    return PonderError(
        "disk",
        str(path),
        f"no space left to write this file ({free:,.1f} MiB free); what was written before is "
        "intact: free some space (or raise the quota), then resume the run",
    )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn "disk full" and "may not write here" into a PonderError that names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full_error(path) from error
        if error.errno in _FORBIDDEN:
            fix = f"cannot write here ({error.strerror}); check the owner and the mount"
            raise PonderError("disk", str(path), fix) from error
        raise


def write_all(descriptor: int, data: bytes) -> None:
    """``os.write`` until everything is written (a nearly full disk writes in part)."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_atomic(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: a reader sees the old bytes or the new ones, never a mixture.

    Raises:
        PonderError: the disk is full or read-only; ``path`` is then what it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise
        fsync_folder(path.parent)


def remove_stale(folder: Path) -> None:
    """Remove what a killed ``write_atomic`` left. Only for the holder of the run's lock."""
    for path in folder.glob(".*.tmp"):
        if path.is_file():
            path.unlink()
