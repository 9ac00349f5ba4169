"""Reading what a run writes, until it ends, within its wall time and its output cap."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

from ponder.sandbox.inside.request import FAILED, STARTED, Ended
from ponder.sandbox.jobs import Limits, Outcome, Status

_CHUNK = 1 << 16
_TAKEN_SECONDS = 20.0  # until the waiting process has its job, on however busy a machine
_END_SECONDS = 5.0  # from SIGKILL to the end of a process


class ZygoteGone(Exception):  # noqa: N818
    """The zygote ended, or does not answer, or could not set a run up."""


@dataclass(slots=True)
class Streams:
    """The reading ends of a run's pipes and what came from them."""

    stdout: int
    stderr: int
    result: int | None
    data: dict[int, bytearray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ends = (self.stdout, self.stderr, self.result)
        self.data = {end: bytearray() for end in ends if end is not None}

    def take(self, end: int, limits: Limits) -> bool | None:
        """Read once: True for data, False at the end, None where there is nothing yet."""
        try:
            chunk = os.read(end, _CHUNK)
        except BlockingIOError:
            return None
        room = self._room(end, limits)
        self.data[end] += chunk[: max(room + 1, 0)]
        return bool(chunk)

    def drain(self, limits: Limits) -> None:
        """Read what there is, without waiting."""
        for end in self.data:
            while self.take(end, limits):
                pass

    def is_over(self, limits: Limits) -> bool:
        return any(self._room(end, limits) < 0 for end in self.data)

    def text(self, end: int | None, limits: Limits) -> bytes:
        """What came, without the byte that was one too many."""
        if end is None:
            return b""
        cut = min(self._room(end, limits), 0)
        return bytes(self.data[end][: len(self.data[end]) + cut])

    def _room(self, end: int, limits: Limits) -> int:
        if end == self.result:
            return limits.result_bytes - len(self.data[end])
        both = len(self.data[self.stdout]) + len(self.data[self.stderr])
        return limits.output_bytes - both


def hear(channel: socket.socket) -> tuple[bytes, int | None]:
    """The next message of a zygote, with the descriptor of a new child if it is about one."""
    try:
        message, descriptors, _, _ = socket.recv_fds(channel, 1100, 1)
    except OSError as error:
        raise ZygoteGone(str(error)) from error
    if not message:
        raise ZygoteGone("the zygote ended")
    if message.startswith(FAILED):
        raise ZygoteGone(message[len(FAILED) :].decode("utf-8", "replace"))
    if message != STARTED:
        return message, None
    os.set_inheritable(descriptors[0], False)
    return message, descriptors[0]


class Run:
    """One run, watched from outside: ``Run(channel, process, streams, limits).outcome()``.

    ``process`` is a descriptor of the process that got the job. After the run, ``next_process`` is
    one of the process that waits for the next. That this one has been forked tells that the job has
    been taken: only then does the wall time begin, and only from then on is anything killed, for a
    job whose process died before taking it would be the next one's.
    """

    def __init__(
        self, channel: socket.socket, process: int, streams: Streams, limits: Limits
    ) -> None:
        self._channel, self._streams, self._limits = channel, streams, limits
        self._process = process
        self.next_process: int | None = None
        self._stopped: Status | None = None
        self._started = time.monotonic()
        self._deadline = self._started + _TAKEN_SECONDS
        self._ended: Ended | None = None

    def outcome(self) -> Outcome:
        """Wait for the end; ZygoteGone if the zygote does not keep its part."""
        ended = self._wait()
        seconds = time.monotonic() - self._started
        code = os.waitstatus_to_exitcode(ended.wait_status)
        return outcome_of(
            code, self._stopped, self._streams, self._limits, seconds, ended.cpu_seconds
        )

    def _wait(self) -> Ended:
        poller = select.poll()
        for end in self._streams.data:
            poller.register(end, select.POLLIN)
        poller.register(self._channel, select.POLLIN)
        while self._ended is None:
            left = self._deadline - time.monotonic()
            events = poller.poll(max(left, 0) * 1000 + 0.5) if left > 0 else []
            if not events and time.monotonic() >= self._deadline:
                self._late()
            for end, _ in events:
                if end == self._channel.fileno():
                    self._hear()
                elif self._streams.take(end, self._limits) is False:
                    poller.unregister(end)
            is_taken = self.next_process is not None
            if is_taken and self._stopped is None and self._streams.is_over(self._limits):
                self._stop("output")
        self._drain()
        return self._ended

    def _hear(self) -> None:
        message, process = hear(self._channel)
        if process is not None:
            self.next_process = process
            self._deadline = time.monotonic() + self._limits.wall_seconds
        else:
            self._ended = Ended.unpack(message)

    def _late(self) -> None:
        if self._stopped is not None or self.next_process is None:
            raise ZygoteGone("the zygote does not answer")
        self._stop("timeout")

    def _stop(self, status: Status) -> None:
        """SIGKILL, by a descriptor of the process: never another one that got its number."""
        self._stopped = status
        self._deadline = time.monotonic() + _END_SECONDS
        with suppress(ProcessLookupError):  # it ended by itself just now
            signal.pidfd_send_signal(self._process, signal.SIGKILL)

    def _drain(self) -> None:
        self._streams.drain(self._limits)
        if self._stopped is None and self._streams.is_over(self._limits):
            self._stopped = "output"


def outcome_of(
    code: int,
    stopped: Status | None,
    streams: Streams,
    limits: Limits,
    seconds: float,
    cpu_seconds: float,
) -> Outcome:
    """The outcome of a process that is gone: its exit code, or minus the signal that ended it."""
    stderr = streams.text(streams.stderr, limits)
    status = stopped or status_of(code, stderr)
    return Outcome(
        status=status,
        stdout=streams.text(streams.stdout, limits),
        stderr=stderr,
        result=streams.text(streams.result, limits) or None,
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        detail=detail_of(status, code, stderr, limits),
    )


_BY_SIGNAL: dict[int, Status] = {
    signal.SIGKILL: "memory",  # the harness after a MemoryError, or the kernel's OOM killer
    signal.SIGXFSZ: "output",  # the harness: too large a result
    signal.SIGXCPU: "timeout",
    signal.SIGSYS: "refused",
}


def status_of(code: int, stderr: bytes) -> Status:
    """The status of a process that ended by itself: exit code, or minus its signal."""
    if code == 0:
        return "finished"
    if code == -signal.SIGABRT and b"std::bad_alloc" in stderr[-200:]:
        return "memory"
    return _BY_SIGNAL.get(-code, "crashed")


def detail_of(status: Status, code: int, stderr: bytes, limits: Limits) -> str:
    """A few words for a person."""
    if status == "timeout":
        return f"more than {limits.wall_seconds:g} s"
    if status == "memory":
        return f"more than {limits.memory_mb} MiB"
    if status == "output":
        return f"more than {limits.output_bytes} bytes of output"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = stderr.decode("utf-8", "replace").strip().splitlines() if code else []
    return lines[-1][:200] if lines else (f"exit code {code}" if code else "")
