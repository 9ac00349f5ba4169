"""With freed memory kept, a large tensor made again and again costs few new pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from ponder.models.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(12):
        [torch.zeros(3 * 2**20) for _ in range(8)]  # 96 MiB in all: trimmed by default
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
mapped_anew = faults()
assert keep_freed_memory()
print(mapped_anew / faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_a_large_tensor_is_mapped_a_few_times_only() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 1.5  # it takes a few rounds until the heap has settled
