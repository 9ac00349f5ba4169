"""GPUs by name."""

from __future__ import annotations

import pytest

from ponder.errors import PonderError
from ponder.plan.constants import GIB
from ponder.plan.devices import GPUS, described, named_gpu


@pytest.mark.parametrize(
    ("driver", "key"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA A10", "a10"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
    ],
)
def test_a_driver_s_name_finds_the_speed(driver: str, key: str) -> None:
    found = described(driver, 10.0 * GIB, 64.0 * GIB)
    assert found.flops == GPUS[key].flops
    assert found.memory == 10.0 * GIB


def test_an_unknown_gpu_has_no_speed() -> None:
    assert described("NVIDIA Quadro P400", GIB, GIB).flops is None


def test_names() -> None:
    assert named_gpu("RTX 4090") is GPUS["rtx4090"]
    with pytest.raises(PonderError, match="must be one of h100"):
        named_gpu("h1000")


def test_datasheets_are_derated() -> None:
    assert GPUS["a100"].flops == pytest.approx(0.8 * 312e12)
    assert all(gpu.source for gpu in GPUS.values())
