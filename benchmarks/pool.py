"""The pool of workers: what a call costs, what a start costs, how long hostile work is held.

Run: `python benchmarks/pool.py` (about 15 seconds, best on a quiet machine).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from ponder.types import Problem
from ponder.verify.pool import WorkerPool, isolated
from ponder.verify.verifier_pool import VerifierPool
from ponder.verify.verifiers import verify

HOSTILE = {
    "7 ** 10 ** 9 (holds the interpreter's lock)": ("builtins:pow", 7, 10**9),
    "sleep": ("time:sleep", 60),
    "sum of a range without end": ("builtins:sum", range(10**15)),
    "catastrophic regex": ("re:match", r"(a+)+$", "a" * 60 + "b"),
}
PROBLEM, TEXT = Problem("p", "?", "5"), "<think> long </think> " * 50 + r"so it is \boxed{5}."


def milliseconds(call: Callable[[], object], count: int) -> str:
    """Median and 99th percentile over ``count`` calls."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    times.sort()
    return f"{statistics.median(times):8.3f} ms   p99 {times[int(0.99 * count)]:8.3f} ms"


def main() -> None:
    """Print the figures."""
    with VerifierPool(1, runs={}) as pool:
        began = time.perf_counter()
        isolated("math:sqrt", 2.0)
        pool.submit(PROBLEM, TEXT).result()
        print(f"first calls of two pools      {1000 * (time.perf_counter() - began):8.0f} ms")
        print("warm isolated(math:sqrt)     ", milliseconds(lambda: isolated("math:sqrt", 2), 4000))
        print("exact, in this process       ", milliseconds(lambda: verify(PROBLEM, TEXT), 4000))
        in_worker = milliseconds(lambda: pool.submit(PROBLEM, TEXT).result(), 4000)
        print("exact, in a worker           ", in_worker)
        print(
            "submit alone                 ", milliseconds(lambda: pool.submit(PROBLEM, TEXT), 4000)
        )
        pool.submit(PROBLEM, TEXT).result()
        began = time.perf_counter()
        pool.judge_all([(PROBLEM, TEXT)] * 8000)
        print(f"judged by one worker          {8000 / (time.perf_counter() - began):8.0f} a second")
    with WorkerPool(1, deadline_seconds=1.0) as workers:
        workers.submit("math:sqrt", 2.0).result()
        for name, (function, *arguments) in HOSTILE.items():
            began = time.perf_counter()
            answer = workers.submit(function, *arguments).result()
            held = time.perf_counter() - began
            workers.submit("math:sqrt", 2.0).result()
            ready = time.perf_counter() - began
            print(f"{name}: {answer}; held {held:.2f} s, next answer at {ready:.2f} s")


if __name__ == "__main__":
    main()
