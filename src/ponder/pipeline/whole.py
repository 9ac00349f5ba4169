"""Files that a pipeline is given must be whole: one that was cut is refused before it is used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import zstandard

from ponder.errors import PonderError

_PIECE = 2**20


def check_whole(field: str, path: Path) -> None:
    """Refuse a half-written .jsonl or .zst file. PonderError naming ``field``.

    Of JSON lines the last one is read, of zstandard every frame must have ended.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise PonderError(field, str(path), "this file is empty; write it again")
    if path.suffix == ".zst":
        _check_frames(field, path)
    elif path.suffix == ".jsonl":
        _check_last_line(field, path)


def _check_last_line(field: str, path: Path) -> None:
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        tail, size = b"", 4096
        while size <= 2 * end or not tail:
            file.seek(max(0, end - size))
            tail = file.read().rstrip()
            if b"\n" in tail or size >= end:
                break
            size *= 2
    last = tail.rpartition(b"\n")[2]
    if not last:
        raise PonderError(field, str(path), "there is no line in this file; write it again")
    try:
        json.loads(last)
    except ValueError as error:
        fix = f"its last line is cut ({last[-40:]!r}): the file is half written; write it again"
        raise PonderError(field, str(path), fix) from error


def _check_frames(field: str, path: Path) -> None:
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        with path.open("rb") as file:
            while data := file.read(_PIECE):
                while data:
                    if frame.eof:
                        frame = zstandard.ZstdDecompressor().decompressobj()
                    frame.decompress(data)
                    data = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        fix = f"this file is damaged ({error}); write it again"
        raise PonderError(field, str(path), fix) from error
    if not frame.eof:
        raise PonderError(field, str(path), "this file is half written (cut); write it again")
