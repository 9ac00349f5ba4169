"""The joined product's kernel against its clear version, and that against torch's parts."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ponder.generate.device.product import Blocks, clear_product, product_by_kernel

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
needs_triton = pytest.mark.skipif(
    not (torch.cuda.is_available() or (INTERPRETED and importlib.util.find_spec("triton"))),
    reason="needs CUDA, or triton and TRITON_INTERPRET=1",
)
KINDS = [
    # bias, norm, residual, gated
    (False, False, False, False),
    (True, True, False, False),
    (False, True, False, True),
    (True, False, False, True),
    (True, False, True, False),
    (False, True, True, True),
]


def tensors(rows: int, depth: int, width: int, kind, dtype=torch.float32) -> tuple:
    torch.manual_seed(0)
    bias, norm, residual, gated = kind
    outputs = width * (2 if gated else 1)

    def new(*shape: int) -> Tensor:
        return torch.randn(*shape).to(DEVICE, dtype)

    return (
        new(rows, 1, depth),
        new(outputs, depth) * depth**-0.5,
        new(outputs) if bias else None,
        1 + new(depth) / 4 if norm else None,
        0.1 if norm else 0.0,
        new(rows, 1, width) if residual else None,
        gated,
    )


def test_the_clear_version_is_what_the_parts_are() -> None:
    x, weight, bias, norm_weight, epsilon, residual, gated = tensors(5, 64, 12, (1, 1, 1, 1))
    normed = F.rms_norm(x, (64,), norm_weight, epsilon)
    gate, up = normed @ weight[:12].T + bias[:12], normed @ weight[12:].T + bias[12:]
    expected = gate * gate.sigmoid() * up + residual
    found = clear_product(x, weight, bias, norm_weight, epsilon, residual, gated)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@needs_triton
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "depth", "width"), [(3, 64, 16), (70, 192, 40), (33, 128, 96)])
def test_the_kernel(rows: int, depth: int, width: int, kind) -> None:
    args = tensors(rows, depth, width, kind)
    torch.testing.assert_close(product_by_kernel(*args), clear_product(*args), atol=1e-4, rtol=1e-4)


@needs_triton
@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_in_16_bits(kind) -> None:
    dtype = torch.bfloat16 if DEVICE == "cuda" else torch.float16
    args = tensors(70, 192, 40, kind, dtype)
    wide = [arg.float() if isinstance(arg, Tensor) else arg for arg in args]
    found = product_by_kernel(*args, Blocks(32, 16, 64, 4, 2)).float()
    expected = clear_product(*wide)
    assert (found - expected).norm() / expected.norm() < 1e-2
