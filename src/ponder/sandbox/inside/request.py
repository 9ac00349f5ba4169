"""The messages between the trusted side and a zygote: fixed-size, no parser to attack."""

from __future__ import annotations

import struct
from typing import NamedTuple

SCRIPT, CALL, CHECK, CPP = range(4)

_REQUEST = struct.Struct("=BQII")
_ENDED = struct.Struct("=cidQ")
REQUEST_BYTES = _REQUEST.size
STARTED = b"S"  # with a descriptor of the process that waits for the next request
TAKEN = b"T"  # from that process to its zygote
_ENDED_MARK = b"E"
READY, FAILED = b"R", b"F"  # followed by text


class Request(NamedTuple):
    """One run: what kind, and its limits. The program itself is in a file that only it reads."""

    kind: int
    memory_bytes: int
    cpu_seconds: int
    num_processes: int  # 0: not limited by number

    def pack(self) -> bytes:
        return _REQUEST.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Request:
        return cls(*_REQUEST.unpack(data))


class Ended(NamedTuple):
    """How a process ended: its wait status, processor seconds and peak resident KiB."""

    wait_status: int
    cpu_seconds: float
    peak_kib: int

    def pack(self) -> bytes:
        return _ENDED.pack(_ENDED_MARK, self.wait_status, self.cpu_seconds, self.peak_kib)

    @classmethod
    def unpack(cls, data: bytes) -> Ended:
        mark, *rest = _ENDED.unpack(data)
        if mark != _ENDED_MARK:
            raise ValueError("not the end of a run")
        return cls(*rest)
