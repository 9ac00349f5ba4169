"""float32 matrix products through oneDNN, for the blocks of code that profit from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch


@contextmanager
def onednn_matmul() -> Iterator[None]:
    """Inside, float32 products (mm, bmm, addmm) on an x86 CPU go to oneDNN instead of MKL.

    MKL leaves AVX-512 unused on AMD processors: measured on an EPYC, one thread, 75 -> 180 GFLOP/s
    for the small batched products of attention. PyTorch's only public switch for it is the
    permission to use bfloat16 *inside* float32 products, which oneDNN takes up on some processors
    (AMX) only: where a trial product shows that it does, nothing is switched.

    Not for code with many tiny products of ever-changing shapes (PyTorch's own CPU attention):
    each new shape costs oneDNN about half a millisecond.
    """
    if not _is_exact_and_there():
        yield
        return
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


@cache
def _is_exact_and_there() -> bool:
    """One trial per process: is there oneDNN on AVX-512, and do its products stay float32?"""
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not has_onednn or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 4, 256, 256, generator=generator)
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    single, batched = left[0] @ right[0], torch.bmm(left, right)
    settings.fp32_precision = before
    exact = torch.bmm(left.double(), right.double())
    # Entries are of the order of 16: float32 errs by some 1e-5, bfloat16 by some 1e-1.
    error = max((single - exact[0]).abs().max(), (batched - exact).abs().max())
    return float(error) < 1e-3
