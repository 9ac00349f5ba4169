"""Peak memory of a stretch of work in this process, and on its GPU."""

from __future__ import annotations

import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def begin() -> None:
    """Give back what is not used, and start the count anew.

    Where the system cannot (Linux can), ``peak_bytes`` is that of the whole process so far.
    """
    gc.collect()
    if (cuda := _cuda()) is not None:
        cuda.empty_cache()
        cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most resident memory since ``begin``; of this process, not of its workers."""
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def gpu_peak_bytes() -> int:
    """The most memory of the GPU since ``begin``; 0 where none is used."""
    cuda = _cuda()
    return int(cuda.max_memory_allocated()) if cuda is not None else 0


def _cuda() -> Any:
    """torch.cuda if some stage has used it; nothing is imported for this."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda
