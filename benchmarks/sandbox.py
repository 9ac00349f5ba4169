"""The sandbox: time of a run against a plain Python, and what 2,000 runs leave behind.

    python benchmarks/sandbox.py [--runs 300] [--leak-runs 2000] [--json PATH]

Times are of whole calls that run ``print(42)``, one after the other, in milliseconds; 25 runs of
each way in turn, so that a noisy machine is noisy for all. Leaks: "after" is counted with the
sandbox still open, "closed" when it is closed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from ponder.sandbox.jobs import CallJob, Limits, ScriptJob
from ponder.sandbox.sandbox import Sandbox
from ponder.sandbox.zygotes import interpreter

PROGRAM = "print(42)"
BLOCK = 25  # runs of one way before the next has its turn


def main() -> None:
    arguments = _arguments()
    result: dict[str, Any] = {
        "machine": {
            "kernel": platform.release(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "user": os.geteuid(),
        },
        "milliseconds": times(arguments.runs),
        "leaks": leaks(arguments.leak_runs),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def times(runs: int) -> dict[str, dict[str, float]]:
    """Median, 95th percentile and least time of each way to run the program."""
    with Sandbox(num_parallel=1) as sandbox:
        call = CallJob("def f(x): return x + 1", "f", "[41]")
        ways: dict[str, Callable[[], object]] = {
            "sandbox: script": lambda: sandbox.run(ScriptJob(PROGRAM)),
            "sandbox: call": lambda: sandbox.run(call),
            "python -I -S": lambda: _plain("-I", "-S"),
            "python -I": lambda: _plain("-I"),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for work in ways.values():
            work()
        for _ in range(0, runs, BLOCK):
            for name, work in ways.items():
                found[name] += [_timed(work) for _ in range(BLOCK)]
    return {name: _summary(sorted(values)) for name, values in found.items()}


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def leaks(runs: int) -> dict[str, Any]:
    """Counts before the sandbox, warm, after the runs, and after it is closed."""
    jobs = (
        (ScriptJob(PROGRAM), Limits()),
        (ScriptJob("print(input())", b"x" * 10_000), Limits()),
        (CallJob("def f(x): return [x] * 100", "f", "[1]"), Limits()),
        (ScriptJob("1 / 0"), Limits()),
        (ScriptJob("x = bytearray(1 << 40)"), Limits()),
        (ScriptJob("while True: print('x' * 999)"), Limits(output_bytes=10_000)),
        (ScriptJob("import os\nos.fork()"), Limits()),
        (ScriptJob("while True: pass"), Limits(wall_seconds=0.01)),
    )
    before = _counts()
    with Sandbox(num_parallel=1) as sandbox:
        for job, limits in jobs * 5:
            sandbox.run(job, limits)
        warm = _counts()
        started = time.perf_counter()
        for index in range(runs):
            sandbox.run(*jobs[index % len(jobs)])
        seconds = time.perf_counter() - started
        after = _counts()
    deadline = time.monotonic() + 5
    while psutil.Process().children() and time.monotonic() < deadline:
        time.sleep(0.01)
    return {
        "runs": runs,
        "seconds": round(seconds, 1),
        "before": before,
        "warm": warm,
        "after": after,
        "closed": _counts(),
    }


def _counts() -> dict[str, int]:
    us = psutil.Process()
    below = us.children(recursive=True)
    return {
        "processes": len(below),
        "descriptors": us.num_fds(),
        "our_rss_kib": us.memory_info().rss >> 10,
        "zygote_rss_kib": max((p.memory_info().rss >> 10 for p in below), default=0),
        "zygote_descriptors": max((p.num_fds() for p in below), default=0),
        "temporary_files": len(os.listdir(tempfile.gettempdir())),
        "shared_memory_files": len(os.listdir("/dev/shm")),
    }


def _plain(*flags: str) -> None:
    subprocess.run([interpreter(), *flags, "-c", PROGRAM], stdout=subprocess.DEVNULL, check=True)


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 2),
        "p95": round(values[int(len(values) * 0.95)], 2),
        "least": round(values[0], 2),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--leak-runs", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
