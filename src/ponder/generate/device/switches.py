"""What a decode step may do to be fewer kernels, or kernels that start earlier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Switches:
    """All off is the clear way, and what is on changes no result but by rounding.

    Read while a step is compiled and captured: what is compiled or captured already stays as it is.
    """

    compile_rest: bool = False
    """What stands around the decoder layers (angles, last norm, random numbers, the slots' turn to
    the next token) is compiled, too: some 10 kernels rather than 50."""
    rotate_inside: bool = False
    """Attention's kernels rotate query and key themselves (``fuse.rotate_inside``)."""
    products_below: int = 0
    """Products with fewer weights than this are ``product.joined_product``: norm, gate and residual
    are part of them."""
    dependent: bool = False
    """Kernels start while the one before them ends (programmatic dependent launch)."""
    registers: int = 0
    """Most registers of a thread of attention to heads of up to 64 numbers, 0: what the compiler
    takes (192). With 168, 12 programs fit a multiprocessor: 512 rows of 3 key heads at once."""
    halves: bool = False
    """The rows are two batches in two streams: one attends while the other multiplies."""


_active = Switches()


def switches() -> Switches:
    """Those that hold now."""
    return _active


@contextmanager
def switched(**changes: Any) -> Iterator[Switches]:
    """Inside, the named switches are changed."""
    global _active
    before = _active
    _active = replace(before, **changes)
    try:
        yield _active
    finally:
        _active = before
