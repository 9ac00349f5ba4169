"""Merging attention over two sets of keys: by hand, and the Triton kernel against the formula."""

from __future__ import annotations

import math
import os

import pytest
import torch

from ponder.models.merge import merge

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"


def test_by_hand() -> None:
    # Sums of exponentials 1 and 3: the first output counts a quarter.
    out, lse = torch.full((1, 1, 2), 4.0), torch.zeros(1, 1)
    merge(out, lse, torch.full((1, 1, 2), 8.0), torch.full((1, 1), math.log(3)))
    assert out.flatten().tolist() == pytest.approx([7.0, 7.0])
    assert lse.flatten().tolist() == pytest.approx([math.log(4)])


@pytest.mark.skipif(
    not (INTERPRETED or torch.cuda.is_available()),
    reason="needs CUDA, or triton and TRITON_INTERPRET=1",
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("num_rows", "size"), [(37, 64), (16, 40), (1, 128)])
def test_the_kernel_agrees(num_rows: int, size: int, dtype: torch.dtype) -> None:
    from ponder.models import merge_kernel

    torch.manual_seed(0)
    # Slices of larger tensors, as the operator passes them.
    out = torch.randn(num_rows + 9, 3, size, device=DEVICE).to(dtype)
    other = torch.randn(num_rows, 3, size, device=DEVICE).to(dtype)
    lse = torch.randn(3, num_rows + 9, device=DEVICE) * 5
    other_lse = torch.randn(3, num_rows, device=DEVICE) * 5
    rows = slice(4, 4 + num_rows)
    expected, expected_lse = out.clone(), lse.clone()
    merge(expected[rows], expected_lse[:, rows], other, other_lse)
    merge_kernel.merge(out[rows], lse[:, rows], other, other_lse)
    tolerance = 2**-6 if dtype is torch.bfloat16 else 1e-5
    assert torch.allclose(out.float(), expected.float(), rtol=tolerance, atol=tolerance)
    assert torch.allclose(lse, expected_lse, atol=1e-5)
