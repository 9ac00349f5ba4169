"""The machine under a benchmark: what it is, what it can do at best, and memory in use."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NOMINAL_FLOPS = {"H100": 989.4e12, "H200": 989.4e12, "A100": 312e12}
"""Dense bf16 of the data sheets: what published MFU figures are shares of."""


def machine_facts() -> dict[str, Any]:
    import torch
    import transformers

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "gpu": gpu,
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def measure_machine(job: Mapping[str, Any]) -> dict[str, Any]:
    """The machine, and what it can do at best on the job's device in its type."""
    return {
        "machine": machine_facts(),
        "ceilings": measure_ceilings(job["device"], job["dtype"]),
    }


def measure_ceilings(device: str, dtype: str) -> dict[str, float]:
    """FLOP/s of one large matrix product in ``dtype`` and bytes/s (read + written) of a copy."""
    import torch

    kind = getattr(torch, dtype)
    side, copied = (8192, 2**31) if device == "cuda" else (2048, 2**27)
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return {
        "flops_per_second": 2.0 * side**3 / _median(lambda: left @ right, device),
        "bytes_per_second": 2.0 * copied / _median(lambda: target.copy_(source), device),
    }


def synchronize(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def timed(run: Callable[[], Any], device: str) -> tuple[Any, float]:
    """(what ``run`` returns, seconds until the device had done it)."""
    synchronize(device)
    start = time.perf_counter()
    result = run()
    synchronize(device)
    return result, time.perf_counter() - start


def _median(run: Callable[[], Any], device: str) -> float:
    for _ in range(3):
        run()
    return statistics.median(timed(run, device)[1] for _ in range(10))


def nominal_flops(gpu: str | None) -> float | None:
    """Of the data sheet, where the GPU is a known one."""
    return next((flops for name, flops in NOMINAL_FLOPS.items() if gpu and name in gpu), None)


class MemoryWatch(threading.Thread):
    """Most MiB in use on the first GPU since ``start``, by nvidia-smi (all processes, caches of
    allocators included); ``peak`` is None where there is no GPU."""

    def __init__(self, interval_seconds: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.peak: int | None = None
        self._interval = interval_seconds
        self._ended = threading.Event()

    def run(self) -> None:
        if shutil.which("nvidia-smi") is None:
            return
        query = [
            "nvidia-smi",
            "-i",
            "0",
            "--query-gpu=memory.used",
            "--format=csv,noheader,nounits",
        ]
        while not self._ended.wait(self._interval):
            answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
            if answer.strip().isdigit():
                self.peak = max(self.peak or 0, int(answer))

    def end(self) -> int | None:
        self._ended.set()
        self.join()
        return self.peak
