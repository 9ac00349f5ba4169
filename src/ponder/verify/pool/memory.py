"""How much memory this process may still take, and has taken."""

from __future__ import annotations

import os
import resource
import sys

_PAGE = resource.getpagesize()
_MEBIBYTE = 1 << 20
_IS_KEPT = sys.platform == "linux"


class MemoryLimit:
    """Lets a worker take ``memory_mb`` on top of what it had when it was ready for work.

    The limit is of address space, kept by the kernel. Where the kernel keeps none (macOS),
    ``is_used_up`` still has the worker replaced after a call that took too much.
    """

    def __init__(self, memory_mb: int) -> None:
        self._allowance = memory_mb * _MEBIBYTE
        _, self._hard = resource.getrlimit(resource.RLIMIT_AS)
        self._taken = _Taken()
        self._resident = 0
        self._address_space = 0

    def measure(self) -> None:
        """Count what this process has now (its imports) as not taken."""
        self._address_space, self._resident = self._taken()

    def apply(self) -> None:
        """From here on more than the allowance is a MemoryError."""
        if not _IS_KEPT:
            return
        limit = self._address_space + self._allowance
        if self._hard != resource.RLIM_INFINITY:
            limit = min(limit, self._hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, self._hard))

    def lift(self) -> None:
        """No limit but the one this process was started with."""
        if not _IS_KEPT:
            return
        resource.setrlimit(resource.RLIMIT_AS, (self._hard, self._hard))

    def is_used_up(self) -> bool:
        """Whether the process has kept more than half of the allowance: time for a fresh one."""
        return self._taken()[1] - self._resident > self._allowance // 2


class _Taken:
    """Bytes of address space and bytes resident, at each call."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY) if _IS_KEPT else None

    def __call__(self) -> tuple[int, int]:
        if self._statm is None:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak, peak
        pages = os.pread(self._statm, 200, 0).split()
        return int(pages[0]) * _PAGE, int(pages[1]) * _PAGE
