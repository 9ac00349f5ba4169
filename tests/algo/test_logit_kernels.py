"""The Triton passes over logits against the clear ones: on a GPU, or in Triton's interpreter."""

from __future__ import annotations

import os

import pytest
import torch

from ponder.algo import logit_passes

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(
    not (INTERPRETED or torch.cuda.is_available()),
    reason="needs CUDA, or triton and TRITON_INTERPRET=1",
)
DEVICE = "cpu" if INTERPRETED else "cuda"


@pytest.mark.parametrize("width", [1, 7, 2048, 5000])
@pytest.mark.parametrize(("temperature", "spread"), [(1.0, 3.0), (0.7, 40.0), (1.5, 0.0)])
def test_summaries_agree(width: int, temperature: float, spread: float) -> None:
    from ponder.algo import logit_kernels

    torch.manual_seed(0)
    logits = (torch.randn(5, width) * spread + 100.0).to(DEVICE)
    logits[0].fill_(-3e4)
    targets = torch.randint(0, width, (5,), device=DEVICE)
    ours = logit_kernels.summarise(logits, targets, temperature)
    expected = logit_passes.summarise(logits.double(), targets, temperature)
    for values, reference in zip(ours, expected, strict=True):
        assert torch.allclose(values.double(), reference, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("first", "width"), [(0, 5000), (3000, 2000), (100, 50)])
def test_gradients_agree(first: int, width: int, dtype: torch.dtype) -> None:
    from ponder.algo import logit_kernels

    torch.manual_seed(0)
    logits = torch.randn(6, 5000, device=DEVICE) * 3
    targets = torch.tensor([0, 99, 100, 149, 3000, 4999], device=DEVICE)
    normaliser = (logits / 0.8).logsumexp(1)
    part = logits[:, first : first + width].contiguous()
    ours = logit_kernels.subtract_onehot(part, targets, normaliser, first, 0.8, dtype)
    expected = logit_passes.subtract_onehot(part, targets, normaliser, first, 0.8, torch.float32)
    assert ours.dtype is dtype
    tolerance = 2**-7 if dtype is torch.bfloat16 else 1e-5  # the interpreter rounds towards 0
    inside = ((targets >= first) & (targets < first + width)).sum()
    assert (expected < -0.5).sum() == inside
    assert torch.allclose(ours.float(), expected, rtol=tolerance)
