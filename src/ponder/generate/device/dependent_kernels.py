"""Kernels that start before the one ahead of them has ended (programmatic dependent launch).

Such a kernel must wait before it touches what others write, and every program of it must wait
before it ends: who waits for this kernel then waits for all before it.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def let_next_start(DEPENDENT: tl.constexpr):  # type: ignore[no-untyped-def]
    """The next kernel's programs may start once all of this one have come here."""
    if DEPENDENT:
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit  # type: ignore[untyped-decorator]
def wait_for_previous(DEPENDENT: tl.constexpr):  # type: ignore[no-untyped-def]
    """Until the kernel ahead has ended and all that it wrote can be read."""
    if DEPENDENT:
        tl.extra.cuda.gdc_wait()
