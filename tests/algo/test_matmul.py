"""Whatever kernel the products go to, they stay float32 and the setting is put back."""

from __future__ import annotations

import pytest
import torch

from ponder.algo.matmul import onednn_matmul


def test_products_stay_float32() -> None:
    torch.manual_seed(0)
    left, right = torch.randn(3, 100, 70), torch.randn(3, 70, 90)
    exact = torch.bmm(left.double(), right.double())
    with onednn_matmul():
        assert (torch.bmm(left, right) - exact).abs().max() < 1e-4
        assert (left[0] @ right[0] - exact[0]).abs().max() < 1e-4


def test_the_setting_is_put_back_even_after_an_error() -> None:
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    with pytest.raises(KeyError), onednn_matmul():
        raise KeyError
    assert settings.fp32_precision == before
