"""Reads files of rows as a stream; a file that is torn or damaged is an error with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard

from ponder.curate.row import Row, row_from_line
from ponder.errors import PonderError

SUFFIXES = (".jsonl", ".jsonl.zst")
_CHUNK = 1 << 18


def part_path(path: Path) -> Path:
    """Where a file is written until it is whole."""
    return path.with_name(path.name + ".part")


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, in order, one at a time.

    Raises:
        PonderError: there is no such file, it is half-written or damaged, or a line is no row; the
            message names the file and the line.
    """
    for number, line in read_lines(path):
        yield row_from_line(line, f"{path}:{number}")


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, each with its number (from 1). PonderError as ``read_rows``."""
    check_suffix(path)
    if not path.is_file():
        fix = "there is no such file"
        if part_path(path).is_file():
            fix = "this file is half-written (there is only its .part); let its stage end first"
        raise PonderError("rows", str(path), fix)
    chunks = _zst_chunks(path) if path.suffix == ".zst" else _chunks(path)
    for number, line in enumerate(_split(chunks), start=1):
        if line.strip():
            yield number, line


def check_suffix(path: Path) -> None:
    """PonderError if the name is not that of a file of rows."""
    if not path.name.endswith(SUFFIXES):
        raise PonderError("rows", str(path), f"the name must end in {' or '.join(SUFFIXES)}")


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their newlines, of chunks that end anywhere."""
    rest: list[bytes] = []
    for chunk in chunks:
        first, newline, others = chunk.partition(b"\n")
        rest.append(first)
        if newline:
            yield b"".join(rest)
            *whole, last = others.split(b"\n")
            yield from whole
            rest = [last]
    if last := b"".join(rest):
        yield last


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _zst_chunks(path: Path) -> Iterator[bytes]:
    """The uncompressed bytes of a row of frames; unlike a stream reader it sees a torn end."""
    num_lines = 0
    try:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        is_inside = False
        for chunk in _chunks(path):
            while chunk:
                data = decompressor.decompress(chunk)
                num_lines += data.count(b"\n")
                yield data
                chunk, is_inside = decompressor.unused_data, not decompressor.eof
                if decompressor.eof:
                    decompressor = zstandard.ZstdDecompressor().decompressobj()
    except zstandard.ZstdError as error:
        fix = f"{path}:{num_lines + 1}: from here the file is damaged ({error}); restore it"
        raise PonderError("rows", str(path), fix) from error
    if is_inside:
        fix = f"{path}:{num_lines + 1}: the file ends in the middle of a zstd frame; restore it"
        raise PonderError("rows", str(path), fix)
