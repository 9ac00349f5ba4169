"""Each guard lets the healthy through and stops the broken, saying by how much."""

from __future__ import annotations

import copy

import pytest
import torch

from ponder.errors import GuardError
from ponder.models.tiny import make_tiny_model
from ponder.train import guards


def test_checksum_sees_a_single_bit_of_any_parameter() -> None:
    model, _ = make_tiny_model(0)
    before = guards.weight_checksum(model)
    assert guards.weight_checksum(copy.deepcopy(model)) == before
    for parameter in model.parameters():
        flat = parameter.detach().view(-1).view(torch.int32)
        flat[-1] ^= 1
        assert guards.weight_checksum(model) != before
        flat[-1] ^= 1
    assert guards.weight_checksum(model.bfloat16()) != before


def test_handover() -> None:
    policy, _ = make_tiny_model(0)
    stale = copy.deepcopy(policy)
    guards.check_handover(policy, stale, 3)
    with torch.no_grad():
        next(policy.parameters()).add_(1e-3)
    with pytest.raises(GuardError, match="after step 3 the generator's weights"):
        guards.check_handover(policy, stale, 3)


def test_first_ratio() -> None:
    old = [torch.tensor([-1.0, -2.0]), torch.tensor([-3.0])]

    def check(offset: float, dtype: torch.dtype) -> None:
        guards.check_first_ratio([rows + offset for rows in old], old, dtype)

    check(5e-4, torch.float32)
    check(0.05, torch.bfloat16)
    with pytest.raises(GuardError, match=r"mean \|log ratio\| of a group is 0\.01"):
        check(0.01, torch.float32)
    with pytest.raises(GuardError, match=r"group is 0\.2"):
        check(0.2, torch.bfloat16)
    with pytest.raises(GuardError, match="group is nan"):
        check(float("nan"), torch.float32)
    rounded = [torch.tensor([-1.2, -2.0]), torch.tensor([-3.0])]
    guards.check_first_ratio(rounded, old, torch.bfloat16)  # one token, as rounding does it


def test_finite() -> None:
    guards.check_finite({"loss": 1.0, "norm": 0.0}, 7)
    with pytest.raises(GuardError, match="update 7: norm is nan"):
        guards.check_finite({"loss": 1.0, "norm": float("nan")}, 7)


def test_split() -> None:
    guards.check_split(1.0, 1.00001, 1.0, torch.float32)
    with pytest.raises(GuardError, match=r"1\.0 in one piece and 1\.1 in several"):
        guards.check_split(1.0, 1.1, 1.0, torch.float32)


def test_zero_steps() -> None:
    guards.check_progress(3, 4, 10, stopped=False)
    guards.check_progress(3, 3, 10, stopped=True)
    guards.check_progress(10, 10, 10, stopped=False)  # only the last evaluation was missing
    with pytest.raises(GuardError, match="no step was done: the run was at step 3 of 10"):
        guards.check_progress(3, 3, 10, stopped=False)
