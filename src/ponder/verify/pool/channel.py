"""Frames over a socket between a pool and its worker, and what a frame may hold.

The parent trusts its workers little: symbolic libraries work on a model's text there. So a frame
has a largest size, reading has a deadline however slowly bytes trickle in, and what is unpickled in
the parent can only be plain data.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import pickle
import socket
import struct
import sys
import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_ANSWER_BYTES = 64 << 20
MAX_REQUEST_BYTES = 256 << 20
_READ_BYTES = 1 << 18
_HEADER = struct.Struct("!Q")
_NUMBERS = {("fractions", "Fraction"): Fraction, ("decimal", "Decimal"): Decimal}


class ClosedError(Exception):
    """The other side is gone, or what it sent is no frame."""


class Channel:
    """Sends and receives whole frames (bytes)."""

    def __init__(self, end: socket.socket, max_bytes: int) -> None:
        self._end = end
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def send(self, frame: bytes, timeout_seconds: float | None = None) -> None:
        """Raises ClosedError, also if the other side does not read it all in time."""
        try:
            self._end.settimeout(timeout_seconds)
            self._end.sendall(_HEADER.pack(len(frame)) + frame)
        except OSError as error:  # a timeout is one as well
            raise ClosedError(f"sending: {error}") from error

    def receive(self, deadline: float | None = None) -> bytes:
        """The next frame; TimeoutError past the deadline (of time.monotonic), or ClosedError."""
        (length,) = _HEADER.unpack(self._take(_HEADER.size, deadline))
        if length > self._max_bytes:
            raise ClosedError(f"a frame of {length} bytes")
        return self._take(length, deadline)

    def _take(self, count: int, deadline: float | None) -> bytes:
        is_late = False
        while len(self._buffer) < count:
            if is_late:
                raise TimeoutError
            left = None
            if deadline is not None:
                left = deadline - time.monotonic()
                is_late = left <= 0  # one last look: what is there already counts
            self._buffer += self._read(left)
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _read(self, timeout_seconds: float | None) -> bytes:
        try:
            self._end.settimeout(None if timeout_seconds is None else max(timeout_seconds, 1e-4))
            chunk = self._end.recv(_READ_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            raise ClosedError(f"receiving: {error}") from error
        if not chunk:
            raise ClosedError("end of file")
        return chunk

    def close(self) -> None:
        """Idempotent."""
        self._end.close()


def load_plain(frame: bytes) -> Any:
    """Unpickles plain data: Python's own values, fractions, decimals, Ponder's dataclasses, enums.

    Raises pickle.UnpicklingError on anything else.
    """
    try:
        return _PlainUnpickler(io.BytesIO(frame)).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle raises almost anything
        raise pickle.UnpicklingError(f"not a pickle: {error!r}") from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMBERS:
            return _NUMBERS[module, name]
        if module.partition(".")[0] == "ponder" and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and (
                dataclasses.is_dataclass(found) or issubclass(found, enum.Enum)
            ):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


def python_path() -> list[str]:
    """Where a worker must look for modules: where we do."""
    return [entry for entry in sys.path if isinstance(entry, str)]
