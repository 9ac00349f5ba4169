"""A run without isolation, in a fresh interpreter: resource limits only (``unsafe=True``)."""

from __future__ import annotations

import resource
import sys
from typing import Any

from . import harness, stdlib
from .request import CALL, CHECK


def main(told: dict[str, Any]) -> None:
    """Run the job of descriptor ``program``; ``result`` and ``tests`` where the kind has them."""
    stdlib.preload()
    sys.modules["site"].setquit()
    harness.open_streams()
    _limit(told)
    result = told["result"] if told["kind"] in (CALL, CHECK) else None
    harness.run(told["program"], result, told["tests"] if told["kind"] == CHECK else None)


def _limit(told: dict[str, Any]) -> None:
    wanted = [
        (resource.RLIMIT_CPU, told["cpu_seconds"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ]
    if sys.platform == "linux":  # macOS has the limit and does not keep it
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        wanted.append((resource.RLIMIT_AS, taken + told["memory_bytes"]))
    for which, value in wanted:
        resource.setrlimit(which, (value, value))
