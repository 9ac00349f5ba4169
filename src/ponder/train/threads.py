"""How many CPU threads torch uses: they decide speed, and the last bits of sums."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def physical_cores() -> int:
    """Physical cores that this process may use: no more than its affinity and its quota allow."""
    counts = [psutil.cpu_count(logical=False) or 1]
    if sys.platform == "linux":
        counts.append(len(os.sched_getaffinity(0)))
        if CGROUP_QUOTA.exists():
            counts.append(cores_of_quota(CGROUP_QUOTA.read_text()))
    return max(1, min(counts))


def cores_of_quota(text: str) -> int:
    """Cores that a cgroup's ``cpu.max`` ("QUOTA PERIOD" in microseconds, or "max ...") allows."""
    quota, period = text.split()
    return sys.maxsize if quota == "max" else max(1, round(int(quota) / int(period)))


def set_torch_threads(wanted: int, began_with: int | None = None) -> None:
    """Give torch ``wanted`` threads; 0: as many as a resumed run began with, or as is usable."""
    torch.set_num_threads(wanted or began_with or physical_cores())


@contextmanager
def keeping_torch_threads() -> Iterator[None]:
    """Put back torch's number of threads at the end."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
