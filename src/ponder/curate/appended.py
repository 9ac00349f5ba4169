"""A file that only grows, and can be cut back to where it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors, write_all


class Appended:
    """Bytes appended to a file; opening cuts off what stands after ``size``.

    Raises:
        PonderError: the disk is full or may not be written; the file is shorter than ``size``.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        with disk_errors(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            if os.fstat(self._descriptor).st_size < size:
                fix = "it is shorter than the state says: delete its folder to start again"
                raise PonderError("state", str(path), fix)
            os.ftruncate(self._descriptor, size)
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def blocks(self, num_bytes: int) -> Iterator[bytes]:
        """What is in it, so many bytes at a time."""
        for start in range(0, self.size, num_bytes):
            yield os.pread(self._descriptor, min(num_bytes, self.size - start), start)

    def append(self, data: bytes) -> None:
        with disk_errors(self.path):
            write_all(self._descriptor, data)
        self.size += len(data)

    def sync(self) -> None:
        """Make it durable."""
        with disk_errors(self.path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
