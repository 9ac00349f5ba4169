"""Linear layers through oneDNN on x86 CPUs: the same weights, the same maths, a faster kernel.

PyTorch sends float32 ``nn.Linear`` on a CPU to MKL, which on AMD processors leaves AVX-512 unused.
oneDNN, which every x86 build of PyTorch also carries, does use it: measured on an EPYC with
AVX-512, one thread, 94 -> 200 GFLOP/s forward and for the gradient of the input, 94 -> 135 for the
gradient of the weight. On a Xeon both are equally fast, and the models are left alone.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PACK_BYTES = 32 * 2**20
"""Largest weight of a layer that is packed: copies of larger ones cost too much memory."""

HEAD_BYTES = 256 * 2**20
"""Largest float32 copy of a bfloat16 head."""

PACKED_DTYPES = (torch.float32, torch.bfloat16)

PACK_ROWS = 256
"""The number of rows that the packed layout is chosen for; any number works."""


def use_onednn_linears(model: nn.Module) -> int:
    """Make every plain ``nn.Linear`` of ``model`` compute through oneDNN; returns how many.

    Parameters, state dict, saved files and gradients stay what they were (up to float32 rounding);
    only float32 on the CPU takes the new path (and bfloat16 inside ``packed_weights``; elsewhere it
    goes through oneDNN anyway). Does nothing where that would be no faster.
    """
    if not onednn_is_faster():
        return 0
    linears = [module for module in model.modules() if type(module) is nn.Linear]
    for module in linears:
        module.__class__ = OneDNNLinear
    return len(linears)


@contextmanager
def packed_weights(model: nn.Module, head: nn.Module | None = None) -> Iterator[None]:
    """Inside, the oneDNN linears of ``model`` multiply by a copy of their weights in oneDNN's own
    layout: up to twice as fast for few rows. The weights must not change inside.

    Logits are float32 also where the weights are bfloat16: ``head`` is packed as float32, in which
    products of bfloat16 are exact. Takes memory for a second copy of the weights, and so leaves out
    those of more than ``PACK_BYTES`` (of a head that is widened: ``HEAD_BYTES``).
    """
    linears = [module for module in model.modules() if isinstance(module, OneDNNLinear)]
    for linear in linears:
        dtype = torch.float32 if linear is head else linear.weight.dtype
        linear.pack(dtype, PACK_BYTES if dtype is linear.weight.dtype else HEAD_BYTES)
    try:
        yield
    finally:
        for linear in linears:
            linear.packed = None


@cache
def onednn_is_faster() -> bool:
    """True on an x86 CPU with AVX-512 that is not Intel's, and a PyTorch with oneDNN."""
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    has_avx512 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return has_onednn and has_avx512 and not _is_intel()


def _is_intel() -> bool:
    info = Path("/proc/cpuinfo")
    return "GenuineIntel" in (info.read_text() if info.exists() else platform.processor())


class OneDNNLinear(nn.Linear):
    """An ``nn.Linear`` whose float32 CPU products run in oneDNN, forward and backward."""

    packed: Tensor | None = None
    """The weight in oneDNN's layout, inside ``packed_weights``."""

    def pack(self, dtype: torch.dtype, most_bytes: int) -> None:
        """Keep a copy of the weight to compute in ``dtype`` with, where oneDNN has a kernel."""
        fits = self.weight.numel() * dtype.itemsize <= most_bytes
        if fits and self.weight.dtype in PACKED_DTYPES and self.weight.device.type == "cpu":
            weight = self.weight.detach().to(dtype)
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACK_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """``x @ weight.T + bias``: [..., in_features] -> [..., out_features]."""
        if self.packed is not None and not torch.is_grad_enabled() and x.numel() > 0:
            dtype = self.packed.dtype
            bias = None if self.bias is None else self.bias.to(dtype)
            return _product(x.to(dtype), self.packed, bias)
        if not _is_plain_float32(x) or torch.is_autocast_enabled("cpu"):
            return F.linear(x, self.weight, self.bias)
        if torch.is_grad_enabled():
            out: Tensor = _Linear.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return out
        return _product(x, self.weight, self.bias)


def _is_plain_float32(x: Tensor) -> bool:
    return x.dtype is torch.float32 and x.device.type == "cpu" and x.numel() > 0


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias`` by oneDNN; ``weight`` may be any dense strided matrix."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


class _Linear(torch.autograd.Function):
    """Autograd of ``_product`` (which has none of its own)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _product(rows, weight.t(), None).view(x.shape)
        if ctx.needs_input_grad[1]:
            grad_weight = _product(rows.t(), x.reshape(-1, x.shape[-1]).t(), None)
        if ctx.needs_input_grad[2]:
            grad_bias = rows.sum(0)
        return grad_x, grad_weight, grad_bias
