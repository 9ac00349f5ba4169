"""Decode attention for float32 on a CPU by a small C++ kernel, compiled when first needed.

The environment variable ``CXX`` names the compiler (default: c++). Where there is none, or no AVX2
or OpenMP, ``BagAttention`` does the same, slower.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ponder.generate.pages import PAGE_TOKENS

SOURCE = Path(__file__).with_name("decode_attention.cpp")
OPTIONS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-shared", "-fPIC", "-w")
KEY_MULTIPLE, VALUE_MULTIPLE = 4, 32
"""What the head dimensions of keys and of values must be multiples of."""
COMPILER_SECONDS = 60
"""A compiler that takes longer counts as none (it takes half a second)."""

Kernel: TypeAlias = Callable[[Any], None]


class _Step(ctypes.Structure):
    """``Step`` of the source."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("query", "key", "value", "keys", "values")),
        *((name, ctypes.c_void_p) for name in ("table", "page", "place", "bias", "out")),
        *((name, ctypes.c_int64) for name in ("rows", "kv_heads", "group", "num_pages", "threads")),
        ("scale", ctypes.c_float),
    )


@cache
def native_kernel(key_dim: int, value_dim: int) -> Kernel | None:
    """The kernel for these head dimensions; None where it takes others, or can't be compiled."""
    if key_dim % KEY_MULTIPLE or value_dim % VALUE_MULTIPLE:
        return None
    sizes = (f"-DKEY_DIM={key_dim}", f"-DVALUE_DIM={value_dim}", f"-DPAGE={PAGE_TOKENS}")
    try:
        with tempfile.TemporaryDirectory(prefix="ponder-", ignore_cleanup_errors=True) as folder:
            library = str(Path(folder) / "kernel.so")
            compiler = shlex.split(os.environ.get("CXX", "c++"))
            command = [*compiler, *OPTIONS, *sizes, str(SOURCE), "-o", library]
            subprocess.run(command, capture_output=True, check=True, timeout=COMPILER_SECONDS)
            kernel = ctypes.CDLL(library).attend
    except (OSError, ValueError, IndexError, AttributeError, subprocess.SubprocessError):
        return None
    kernel.restype = None
    return kernel


def attend_natively(
    kernel: Kernel,
    query: Tensor,
    new: tuple[Tensor, Tensor],
    cache: tuple[Tensor, Tensor],
    page_table: Tensor,
    where: tuple[Tensor, Tensor],
    bias: Tensor,
    scale: float,
) -> Tensor:
    """Store ``new`` keys and values, then what ``attend_by_matmul`` computes: [N, heads, E].

    Args:
        query: [N, heads, D].
        new: key [N, kv_heads, D] and value [N, kv_heads, E].
        cache: all keys and values of the layer, as the pool keeps them.
        page_table: [N, C] int64.
        where: page and place [N] int64 of the new key and value.
        bias: [N, C * PAGE_TOKENS], added to the scaled scores; minus infinity after ``where``.
    """
    num_rows, num_heads, _ = query.shape
    out = query.new_empty(num_rows, num_heads, new[1].shape[-1])
    inputs = [x.contiguous() for x in (query, *new)]
    tensors = (*inputs, *cache, page_table, *where, bias, out)
    assert all(tensor.is_contiguous() for tensor in tensors), "the kernel knows no strides"
    assert bias.dtype is torch.float32, bias.dtype
    num_kv_heads = new[0].shape[1]
    step = _Step(
        *(x.data_ptr() for x in tensors),
        *(num_rows, num_kv_heads, num_heads // num_kv_heads, page_table.shape[1]),
        *(torch.get_num_threads(), scale),
    )
    kernel(ctypes.byref(step))
    return out
