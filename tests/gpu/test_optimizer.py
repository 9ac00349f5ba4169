"""The update on a GPU: the CPU's numbers, the bytes that the docstring says, and how long."""

from __future__ import annotations

import copy
import time

import pytest
import torch
from torch import nn

from ponder.config.rl import OptimizerConfig
from ponder.models.tiny import make_tiny_model
from ponder.train import masters
from ponder.train.masters import MasterAdamW
from ponder.train.optimizer import Optimizer, make_optimizer

pytestmark = pytest.mark.gpu

CONFIG = OptimizerConfig(weight_decay=0.1, max_grad_norm=0.5, eps=1e-6)
OFFLOAD = CONFIG.model_copy(update={"offload": True})
RATE = 1e-3


class Matrices(nn.Module):
    """``num`` matrices of 16 Mi bfloat16 weights and as many vectors."""

    def __init__(self, num: int) -> None:
        super().__init__()
        draw = {"device": "cuda", "dtype": torch.bfloat16}
        self.matrices = nn.ParameterList([torch.randn(4096, 4096, **draw) for _ in range(num)])
        self.vectors = nn.ParameterList([torch.ones(4096, **draw) for _ in range(num)])

    def backward(self) -> None:
        """The loss is the sum of w^2 / 2000: its gradient is a thousandth of each weight."""
        for parameter in self.parameters():
            (0.0005 * parameter.square()).sum().backward()

    @property
    def size(self) -> int:
        return sum(p.numel() for p in self.parameters())


def give_gradients(model: nn.Module, seed: int) -> None:
    """The same gradients whatever the device."""
    draw = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        factor = torch.randn(p.shape, generator=draw).to(p)
        (p * factor).sum().backward()


def run(model: nn.Module, optimizer: Optimizer, num: int) -> list[float]:
    norms = []
    for seed in range(num):
        give_gradients(model, seed)
        give_gradients(model, seed + 100)
        norms.append(optimizer.clip_gradients())
        optimizer.step(RATE)
        optimizer.zero_grad()
    return norms


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().float().cpu().flatten() for p in model.parameters()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("config", [CONFIG, OFFLOAD], ids=["here", "offload"])
def test_an_update_is_the_cpus(dtype: torch.dtype, config: OptimizerConfig) -> None:
    there = make_tiny_model(5)[0].to(dtype)
    here = copy.deepcopy(there).cuda()
    cpu, gpu = make_optimizer(there, config), make_optimizer(here, config)
    assert run(there, cpu, 4) == pytest.approx(run(here, gpu, 4), rel=1e-5)
    if isinstance(cpu, MasterAdamW) and isinstance(gpu, MasterAdamW):
        torch.testing.assert_close(gpu.masters.cpu(), cpu.masters, rtol=1e-5, atol=1e-6)
    tolerance = 1e-5 if dtype is torch.float32 else 1e-2
    torch.testing.assert_close(flat(here), flat(there), rtol=tolerance, atol=1e-6)


def test_offload_is_the_update_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many chunks, so that copies and updates overlap."""
    monkeypatch.setattr(masters, "CHUNK", 2**20)
    here = Matrices(3)
    there = copy.deepcopy(here)
    one, two = make_optimizer(here, CONFIG), make_optimizer(there, OFFLOAD)
    before = flat(here)
    for _ in range(5):
        for model, optimizer in ((here, one), (there, two)):
            model.backward()
            optimizer.clip_gradients()
            optimizer.step(RATE)
            optimizer.zero_grad()
    assert isinstance(one, MasterAdamW)
    assert isinstance(two, MasterAdamW)
    assert two.masters.is_pinned()
    torch.testing.assert_close(two.masters, one.masters.cpu(), rtol=1e-5, atol=1e-6)
    assert torch.equal(flat(there), two.masters.bfloat16().float())  # matrices first in both
    assert not torch.equal(flat(there), before)


@pytest.mark.parametrize(("config", "held", "during"), [(CONFIG, 12, 16), (OFFLOAD, 0, 4)])
def test_bytes_per_parameter(config: OptimizerConfig, held: int, during: int) -> None:
    """Beside the 2 of the weights: at rest, and between the first backward and the step's end."""
    model = Matrices(8)
    start = torch.cuda.memory_allocated()

    def more() -> float:
        return (torch.cuda.memory_allocated() - start) / model.size

    optimizer = make_optimizer(model, config)
    assert more() == pytest.approx(held, abs=0.05)
    for _ in range(2):
        model.backward()
        assert more() == pytest.approx(during, abs=0.05)
        optimizer.clip_gradients()
        optimizer.step(RATE)
        optimizer.zero_grad()
        assert more() == pytest.approx(held, abs=0.05)
    torch.cuda.reset_peak_memory_stats()
    optimizer.load_state_dict(optimizer.state_dict())
    assert (torch.cuda.max_memory_allocated() - start) / model.size < held + 0.05


@pytest.mark.parametrize("config", [CONFIG, OFFLOAD], ids=["here", "offload"])
def test_time_of_an_update_of_a_billion_and_a_half(config: OptimizerConfig) -> None:
    model = Matrices(92)
    optimizer = make_optimizer(model, config)
    times: dict[str, list[float]] = {"backward": [], "clip": [], "step": []}

    def timed(name: str, call: object) -> None:
        torch.cuda.synchronize()
        began = time.perf_counter()
        assert callable(call)
        call()
        torch.cuda.synchronize()
        times[name].append(1000 * (time.perf_counter() - began))

    for _ in range(4):
        timed("backward", model.backward)
        timed("clip", optimizer.clip_gradients)
        timed("step", lambda: optimizer.step(RATE))
        optimizer.zero_grad()
    best = {name: f"{min(values):.1f} ms" for name, values in times.items()}
    print(f"\n{model.size / 1e9:.2f} G weights, offload={config.offload}: {best}")
    assert min(times["step"]) < (4000 if config.offload else 60)
