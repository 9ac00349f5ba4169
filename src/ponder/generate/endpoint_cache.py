"""Completions that were paid for, on disk: what a killed run asked is never asked again.

One JSON object a line, ``{"key": "<sha256>", "text": ..., ...}``, appended and fsynced one by one.
A line that was cut off by a kill is skipped. Several processes may append to one file at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors, write_all

_HEAD = b'{"key": "'
_KEY_END = len(_HEAD) + 64


@dataclass(frozen=True, slots=True)
class Answered:
    """What an endpoint answered to one request. ``finish_reason`` is in the endpoint's words."""

    content: str
    reasoning: str | None
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def request_key(request: dict[str, Any]) -> str:
    """The SHA-256 of everything that decides what comes back, whatever the order of its keys."""
    canonical = json.dumps(request, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class EndpointCache:
    """Answers by key; only where they stand in the file is held in memory. Thread-safe.

    ``num_torn`` counts the lines that were cut off.

    Args:
        path: the file; None keeps nothing.
        at: the key of the endpoint's section, which errors name.
    """

    def __init__(self, path: Path | None, at: str = "endpoint") -> None:
        self.path, self._at = path, at
        self.num_torn = 0
        self._places: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._descriptor = -1
        if path is not None:
            if path.is_dir():
                raise PonderError(f"{at}.cache", str(path), "this is a folder: name a file")
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._read_places(path)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def get(self, key: str) -> Answered | None:
        """The answer, or None if there is none (or its line turns out to be damaged)."""
        place = self._places.get(key)
        if place is None:
            return None
        start, size = place
        try:
            row = json.loads(os.pread(self._descriptor, size, start))
            assert row.pop("key") == key
            return Answered(**row)
        except (ValueError, TypeError):
            self.num_torn += 1
            del self._places[key]
            return None

    def put(self, key: str, answered: Answered) -> None:
        """Append an answer; it is on the disk when this returns.

        Raises:
            PonderError: the disk is full; the earlier answers are intact.
        """
        if self.path is None:
            return
        line = json.dumps({"key": key, **asdict(answered)}, ensure_ascii=True).encode() + b"\n"
        with self._lock, disk_errors(self.path):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                self._places[key] = (self._append(line), len(line))
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, line: bytes) -> int:
        """Write a line at the end of the file, behind a torn one if need be; where it starts."""
        end = os.fstat(self._descriptor).st_size
        is_torn = end > 0 and os.pread(self._descriptor, 1, end - 1) != b"\n"
        try:
            write_all(self._descriptor, b"\n" * is_torn + line)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise
        return end + is_torn

    def _read_places(self, path: Path) -> None:
        start = 0
        with path.open("rb") as file:
            for line in file:
                if line.startswith(_HEAD) and line.endswith(b"}\n"):
                    self._places[line[len(_HEAD) : _KEY_END].decode("ascii")] = (start, len(line))
                elif not start and line.strip() and line.endswith(b"\n"):
                    fix = "this is no cache of an endpoint: name another file"
                    raise PonderError(f"{self._at}.cache", str(path), fix)
                elif line.strip():
                    self.num_torn += 1
                start += len(line)
