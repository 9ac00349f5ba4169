"""Cores: what a quota means, and that a run puts torch's threads back."""

from __future__ import annotations

import sys

import pytest
import torch

from ponder.train.threads import cores_of_quota, keeping_torch_threads, physical_cores


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("200000 100000\n", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("max 100000", sys.maxsize),
    ],
)
def test_cores_of_quota(text: str, cores: int) -> None:
    assert cores_of_quota(text) == cores


def test_physical_cores_and_threads_come_back() -> None:
    assert physical_cores() >= 1
    before = torch.get_num_threads()
    with keeping_torch_threads():
        torch.set_num_threads(before + 1)
    assert torch.get_num_threads() == before
