"""Runs without isolation (``Sandbox(unsafe=True)``): a fresh process with resource limits."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from ponder.sandbox.collect import Streams, outcome_of
from ponder.sandbox.files import Descriptors
from ponder.sandbox.jobs import Limits, Outcome, Status
from ponder.sandbox.parcel import Parcel
from ponder.sandbox.zygotes import ENVIRONMENT, FLAGS, boot, interpreter

_LOOK_SECONDS = 0.002


def run_plain(parcel: Parcel, limits: Limits) -> Outcome:
    """Run a Python job in a process of its own; works on any POSIX system."""
    with (
        Descriptors() as held,
        _file(parcel.stdin) as stdin,
        _file(parcel.program) as program,
        _file(parcel.tests or b"") as tests,
    ):
        (out, out_end), (err, err_end) = held.pipe(), held.pipe()
        result, result_end = held.pipe()
        told = {
            "code": str(Path(__file__).parent),
            "kind": parcel.kind,
            "program": program.fileno(),
            "tests": tests.fileno(),
            "result": result_end,
            "memory_bytes": limits.memory_mb << 20,
            "cpu_seconds": math.ceil(limits.wall_seconds) + 1,
        }
        process = subprocess.Popen(
            [interpreter(), FLAGS, "-c", boot("plain"), json.dumps(told)],
            stdin=stdin,
            stdout=out_end,
            stderr=err_end,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=[program.fileno(), tests.fileno(), result_end],
            start_new_session=True,
        )
        held.close(out_end, err_end, result_end)
        streams = Streams(out, err, result if parcel.has_result else None)
        return _watch(process, streams, limits)


def _watch(process: subprocess.Popen[bytes], streams: Streams, limits: Limits) -> Outcome:
    started = time.monotonic()
    stopped: Status | None = None
    try:
        while process.poll() is None and stopped is None:
            streams.drain(limits)
            if streams.is_over(limits):
                stopped = "output"
            elif time.monotonic() - started > limits.wall_seconds:
                stopped = "timeout"
            else:
                time.sleep(_LOOK_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    seconds = time.monotonic() - started
    streams.drain(limits)
    if stopped is None and streams.is_over(limits):
        stopped = "output"
    return outcome_of(code, stopped, streams, limits, seconds, 0.0)


def _file(data: bytes) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115  (the caller's to close)
    file.write(data)
    file.flush()
    file.seek(0)
    return file
