"""AdamW on parameters, on float32 masters, and on the host: same maths, and what rounding eats."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from ponder.config.rl import OptimizerConfig
from ponder.errors import PonderError
from ponder.models.tiny import make_tiny_model
from ponder.train import masters
from ponder.train.masters import Lane, MasterAdamW
from ponder.train.optimizer import Optimizer, PlainAdamW, make_optimizer

RATE = 1e-2


def model_of(dtype: torch.dtype = torch.float32) -> nn.Module:
    return make_tiny_model(5)[0].to(dtype)


def loss_of(model: nn.Module, seed: int, num_rows: int = 4) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 250, (num_rows, 9), generator=draw)
    logits = model(ids, use_cache=False).logits.float()
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def update(model: nn.Module, optimizer: Optimizer, seed: int, rate: float = RATE) -> float:
    loss_of(model, seed).backward()
    norm = optimizer.clip_gradients()
    optimizer.step(rate)
    optimizer.zero_grad()
    return norm


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().double().flatten() for p in model.parameters()])


CONFIG = OptimizerConfig(weight_decay=0.1, max_grad_norm=0.5, eps=1e-6)
OFFLOAD = CONFIG.model_copy(update={"offload": True})


def test_the_kind_follows_the_types_and_the_config() -> None:
    bare = CONFIG.model_copy(update={"master_weights": False})
    assert isinstance(make_optimizer(model_of(), CONFIG), PlainAdamW)
    assert isinstance(make_optimizer(model_of(torch.bfloat16), CONFIG), MasterAdamW)
    assert isinstance(make_optimizer(model_of(torch.bfloat16), bare), PlainAdamW)
    assert isinstance(make_optimizer(model_of(), OFFLOAD), MasterAdamW)


def test_plain_is_torchs_own_adamw() -> None:
    ours, theirs = model_of(), model_of()
    optimizer = make_optimizer(ours, CONFIG)
    matrices = [p for p in theirs.parameters() if p.ndim >= 2]
    vectors = [p for p in theirs.parameters() if p.ndim < 2]
    assert vectors
    reference = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=RATE, betas=(CONFIG.beta1, CONFIG.beta2), eps=1e-6, fused=True,
    )  # fmt: skip
    for seed in range(3):
        norm = update(ours, optimizer, seed)
        loss_of(theirs, seed).backward()
        assert norm == float(nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)) > 0.5
        reference.step()
        reference.zero_grad()
    assert torch.equal(weights(ours), weights(theirs))


@pytest.mark.parametrize("chunk", [masters.CHUNK, 1000])
def test_masters_of_float32_weights_are_the_plain_update(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Offloaded float32: flat, in chunks, and yet every weight and the decay as without."""
    monkeypatch.setattr(masters, "CHUNK", chunk)  # 1000: more chunks than may be under way
    plain, flat = model_of(), model_of()
    one, two = make_optimizer(plain, CONFIG), make_optimizer(flat, OFFLOAD)
    for seed in range(4):
        assert update(plain, one, seed) == pytest.approx(update(flat, two, seed), rel=1e-6)
    torch.testing.assert_close(weights(flat), weights(plain), rtol=1e-5, atol=1e-6)
    assert float((weights(plain) - weights(model_of())).abs().max()) > RATE


def test_offload_is_bit_for_bit_the_same() -> None:
    here, there = model_of(torch.bfloat16), model_of(torch.bfloat16)
    one, two = make_optimizer(here, CONFIG), make_optimizer(there, OFFLOAD)
    for seed in range(4):
        assert update(here, one, seed) == update(there, two, seed)
    assert torch.equal(weights(here), weights(there))
    assert not torch.equal(weights(here), weights(model_of(torch.bfloat16)))


def test_small_updates_of_bfloat16_are_kept_by_masters_and_lost_without() -> None:
    """At 1e-6 no single update moves a weight of 0.02 (neighbours are 1e-4 apart); 200 do."""

    def moved(master_weights: bool) -> tuple[float, float]:
        model = model_of(torch.bfloat16)
        config = OptimizerConfig(master_weights=master_weights)
        optimizer, before = make_optimizer(model, config), weights(model)
        loss = float(loss_of(model, 0).detach())
        for _ in range(200):
            update(model, optimizer, 0, rate=1e-6)
        changed = (weights(model) != before)[before.abs() > 0.01]
        return float(changed.double().mean()), loss - float(loss_of(model, 0).detach())

    kept, gain = moved(master_weights=True)
    lost, none = moved(master_weights=False)
    print(kept, gain, lost, none)
    assert kept > 0.1
    assert lost < 0.01
    assert gain > 5 * abs(none)


def test_the_parameters_stay_where_they_are() -> None:
    model = model_of(torch.bfloat16)
    optimizer = make_optimizer(model, CONFIG)
    before = [p.data_ptr() for p in model.parameters()]
    update(model, optimizer, 0)
    assert [p.data_ptr() for p in model.parameters()] == before
    assert isinstance(optimizer, MasterAdamW)
    exact = optimizer.masters.bfloat16()
    for parameter, view in zip(
        optimizer.parameters, masters.flat_views(exact, optimizer.parameters), strict=True
    ):
        assert torch.equal(parameter.detach(), view)


def summed(model: nn.Module, optimizer: MasterAdamW, parts: int) -> torch.Tensor:
    for _ in range(parts):
        (loss_of(model, 0) / parts).backward()
    assert all(p.grad is None for p in model.parameters())
    return optimizer.gradients.flat.clone()


def test_gradients_of_bfloat16_are_added_up_in_float32() -> None:
    """64 equal parts: bfloat16 sums would stall at 1 / 256 of their size; float32 ones don't."""
    model = model_of(torch.bfloat16)
    optimizer = make_optimizer(model, CONFIG)
    assert isinstance(optimizer, MasterAdamW)
    whole = summed(model, optimizer, 1)
    optimizer.zero_grad()
    parts = summed(model, optimizer, 64)
    assert float((parts - whole).norm() / whole.norm()) < 1e-6  # 64 is a power of two: no rounding
    narrow = model_of(torch.bfloat16)
    for _ in range(64):
        (loss_of(narrow, 0) / 64).backward()
    theirs = torch.cat([p.grad.float().flatten() for p in optimizer_order(narrow)])
    assert float((theirs - whole).norm() / whole.norm()) > 1e-3


def optimizer_order(model: nn.Module) -> list[nn.Parameter]:
    return sorted(model.parameters(), key=lambda p: p.ndim < 2)


def test_nothing_backward_is_a_gradient_of_zero() -> None:
    model = model_of(torch.bfloat16)
    optimizer, before = make_optimizer(model, CONFIG.model_copy(update={"weight_decay": 0.0})), None
    before = weights(model)
    assert optimizer.clip_gradients() == 0.0
    optimizer.step(RATE)
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("make", [lambda: CONFIG, lambda: OFFLOAD], ids=["here", "offload"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_state_goes_on_bit_for_bit(make: Callable[[], OptimizerConfig], dtype: torch.dtype) -> None:
    model = model_of(dtype)
    optimizer = make_optimizer(model, make())
    update(model, optimizer, 0)
    state = copy.deepcopy(optimizer.state_dict())
    resumed = copy.deepcopy(model)
    other = make_optimizer(resumed, make())
    other.load_state_dict(state)
    for seed in range(1, 4):
        assert update(model, optimizer, seed) == update(resumed, other, seed)
    assert torch.equal(weights(model), weights(resumed))


def test_state_of_another_kind_is_refused() -> None:
    model = model_of(torch.bfloat16)
    bare = make_optimizer(model, CONFIG.model_copy(update={"master_weights": False}))
    full = make_optimizer(model, CONFIG)
    with pytest.raises(PonderError, match="the checkpoint has no float32 master weights"):
        full.load_state_dict(bare.state_dict())
    with pytest.raises(PonderError, match="the checkpoint has float32 master weights"):
        bare.load_state_dict(full.state_dict())
    small = make_optimizer(nn.Linear(3, 3).bfloat16(), CONFIG)
    with pytest.raises(PonderError, match="the checkpoint's optimizer is of"):
        small.load_state_dict(full.state_dict())


def test_a_forgotten_optimizer_leaves_the_model_to_the_next() -> None:
    model = model_of(torch.bfloat16)
    first = make_optimizer(model, CONFIG)
    del first
    assert update(model, make_optimizer(model, CONFIG), 0) > 0


def test_copies_of_a_lane_arrive() -> None:
    lane = Lane(torch.device("cpu"))
    target = torch.zeros(3)
    lane.open()
    assert lane.copy(target, torch.ones(3)) is None
    lane.close()
    assert target.tolist() == [1, 1, 1]
