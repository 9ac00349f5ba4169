"""Descriptors that a run is given: sealed files in memory, and pipes."""

from __future__ import annotations

import fcntl
import os

_ADD_SEALS = 1033
_ALL_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # no more seals, no shrinking, no growing, no writing
_MFD_EXEC = 0x10


def sealed_file(data: bytes, name: str, executable: bool = False) -> int:
    """A file in memory that nobody can write any more, at its start."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    descriptor = _create(name, flags, executable)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, _ADD_SEALS, _ALL_SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _create(name: str, flags: int, executable: bool) -> int:
    if executable:
        try:
            return os.memfd_create(name, flags | _MFD_EXEC)
        except OSError:  # before Linux 6.3: every such file may be executed
            pass
    return os.memfd_create(name, flags)


class Descriptors:
    """Descriptors that are closed together, whatever happens."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def __enter__(self) -> Descriptors:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(*self._open)

    def add(self, descriptor: int) -> int:
        self._open.append(descriptor)
        return descriptor

    def pipe(self) -> tuple[int, int]:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        return self.add(reading), self.add(writing)

    def close(self, *descriptors: int) -> None:
        for descriptor in list(descriptors):
            self._open.remove(descriptor)
            os.close(descriptor)
