"""Writes files of rows so that kill -9 loses no whole row and never leaves half a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import zstandard

from ponder.curate.reader import check_suffix, part_path
from ponder.curate.row import Row, row_to_line
from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors, fsync_folder, write_all

_LEVEL = 3
_FRAME_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a .part file after a whole row: bytes on the disk, and rows before it."""

    num_bytes: int = 0
    num_rows: int = 0

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Mark:
        return cls(int(fields["num_bytes"]), int(fields["num_rows"]))


class RowWriter:
    """Streams rows into ``PATH.part``; ``close`` makes it durable and gives it its name.

    Opening goes on with a .part file that a killed writer left: a torn last line or zstd frame is
    cut off, and ``num_rows`` says how many whole rows are there. ``at`` cuts the file back to a
    mark instead, ``Mark()`` to nothing. As a context manager it closes at the end, and leaves the
    .part file for the next writer if there was an exception.

    Raises:
        PonderError: the disk is full or may not be written; ``path``, if it was there, is as it
            was, and the .part file ends with its last whole row.
    """

    def __init__(self, path: Path, at: Mark | None = None) -> None:
        check_suffix(path)
        self.path = path
        self.part = part_path(path)
        self._is_zst = path.suffix == ".zst"
        self._lines: list[bytes] = []
        self._waiting = 0
        with disk_errors(self.part):
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                mark = _whole_rows(self.part) if at is None else self._checked(at)
                os.ftruncate(self._descriptor, mark.num_bytes)
                os.lseek(self._descriptor, mark.num_bytes, os.SEEK_SET)
            except BaseException:
                os.close(self._descriptor)
                raise
        self._on_disk = mark
        self.num_rows = mark.num_rows

    def _checked(self, mark: Mark) -> Mark:
        size = self.part.stat().st_size
        if size < mark.num_bytes:
            fix = (
                f"it has {size:,} bytes, but the state of its stage says {mark.num_bytes:,}; it "
                "was cut or replaced: delete it and the state, and the stage starts again"
            )
            raise PonderError("rows", str(self.part), fix)
        return mark

    def write(self, row: Row) -> None:
        """Append one row; it is on the disk after the next ``sync`` at the latest."""
        self.write_line(row_to_line(row))

    def write_line(self, line: bytes) -> None:
        """Append a row as the line of JSON that it is, its newline included."""
        self._lines.append(line)
        self._waiting += len(line)
        self.num_rows += 1
        if self._waiting >= _FRAME_BYTES:
            self._flush()

    def sync(self) -> Mark:
        """Make every row so far durable; returns the place to go on from."""
        self._flush()
        with disk_errors(self.part):
            os.fsync(self._descriptor)
        return self._on_disk

    def close(self) -> None:
        """Make the file whole: under its name, durable, in place of an earlier one."""
        if self._descriptor < 0:
            return
        try:
            self.sync()
            with disk_errors(self.path):
                os.replace(self.part, self.path)
                fsync_folder(self.path.parent)
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of the .part file as it is; rows that are not in it yet are lost."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _flush(self) -> None:
        if not self._lines:
            return
        data = b"".join(self._lines)
        if self._is_zst:
            data = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)
        with disk_errors(self.part):
            try:
                write_all(self._descriptor, data)
            except OSError:
                os.ftruncate(self._descriptor, self._on_disk.num_bytes)
                os.lseek(self._descriptor, self._on_disk.num_bytes, os.SEEK_SET)
                raise
        self._on_disk = Mark(self._on_disk.num_bytes + len(data), self.num_rows)
        self._lines, self._waiting = [], 0

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.leave()


def _whole_rows(part: Path) -> Mark:
    """Where the last whole row of a .part file ends."""
    mark = Mark()
    pieces = _frames(part) if part.name.endswith(".zst.part") else _whole_lines(part)
    for num_bytes, num_rows in pieces:
        mark = Mark(mark.num_bytes + num_bytes, mark.num_rows + num_rows)
    return mark


def _whole_lines(path: Path) -> Iterator[tuple[int, int]]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield len(line), 1


def _frames(path: Path) -> Iterator[tuple[int, int]]:
    """Bytes and lines of each whole frame, up to the first that is torn or fails its checksum."""
    with path.open("rb") as file:
        waiting = b""
        while True:
            decompressor = zstandard.ZstdDecompressor().decompressobj()
            num_bytes = num_rows = 0
            while not decompressor.eof:
                chunk = waiting or file.read(1 << 18)
                if not chunk:
                    return
                try:
                    num_rows += decompressor.decompress(chunk).count(b"\n")
                except zstandard.ZstdError:
                    return
                waiting = decompressor.unused_data if decompressor.eof else b""
                num_bytes += len(chunk) - len(waiting)
            yield num_bytes, num_rows
