"""Weights side by side: the same model, which trains, is saved and loaded as before."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from ponder.config.rl import EngineConfig
from ponder.generate.device import compiled, launch
from ponder.generate.device.attention import DecodePass
from ponder.generate.device.compiled import (
    _as_one_product,
    drop_repeats,
    join_weights,
    joined_linears,
)
from ponder.generate.device.engine import DeviceEngine
from ponder.generate.device.step import BUCKETS
from ponder.models.tiny import make_tiny_model
from ponder.types import Prompt, Sampling


def tiny(family: str = "qwen2") -> PreTrainedModel:
    model, _ = make_tiny_model(0, family)
    if family == "qwen2":  # its biases start at 0
        for layer in model.model.layers:
            torch.nn.init.normal_(layer.self_attn.q_proj.bias)
            torch.nn.init.normal_(layer.self_attn.k_proj.bias)
    return model


def copies(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_parameters_stay_what_they_are(family: str) -> None:
    model = tiny(family)
    before, same = copies(model), list(model.parameters())
    with torch.inference_mode():
        assert join_weights(model) == 4
        assert join_weights(model) == 0
    assert all(a is b for a, b in zip(model.parameters(), same, strict=True))
    assert [len(group) for group in joined_linears(model)] == [3, 2, 3, 2]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.is_contiguous()
    assert not any(p.is_inference() for p in model.parameters())


def test_saved_and_loaded(tmp_path) -> None:
    model = tiny()
    before = copies(model)
    join_weights(model)
    model.save_pretrained(tmp_path / "folder")
    again = type(model).from_pretrained(tmp_path / "folder").state_dict()
    assert set(again) == set(before)
    assert all(torch.equal(again[name], tensor) for name, tensor in before.items())
    torch.save(model.state_dict(), tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in before.items())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.load_state_dict(before)
    assert len(joined_linears(model)) == 4
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


@pytest.mark.parametrize("options", [{"foreach": True}, {"foreach": False}, {"fused": True}])
def test_training_is_the_same_and_reaches_the_joined_storage(options) -> None:
    plain, joined = tiny(), tiny()
    joined.load_state_dict(plain.state_dict())
    optimizers = [torch.optim.AdamW(m.parameters(), lr=0.01, **options) for m in (plain, joined)]
    with torch.inference_mode():
        join_weights(joined)
    ids = torch.arange(20).unsqueeze(0)
    for _ in range(3):
        for model, optimizer in zip((plain, joined), optimizers, strict=True):
            optimizer.zero_grad()
            model(ids, labels=ids).loss.backward()
            optimizer.step()
    for name, tensor in joined.state_dict().items():
        assert torch.equal(tensor, plain.state_dict()[name])
    group = joined_linears(joined)[0]
    storage = group[0].weight.untyped_storage()
    whole = torch.empty(0).set_(storage).view(-1, group[0].in_features)
    assert torch.equal(whole, torch.cat([linear.weight for linear in group]))


def test_a_group_as_one_product() -> None:
    model = tiny()
    x = torch.randn(5, 32)
    expected = [[linear(x) for linear in group] for group in joined_linears(model)]
    assert expected == []
    join_weights(model)
    names = set(model.state_dict())
    for group in joined_linears(model):
        before = [linear(x) for linear in group]
        with _as_one_product(group):
            inside = [linear(x) for linear in group]
        for found, wanted in zip(inside, before, strict=True):
            torch.testing.assert_close(found, wanted)
        assert all(type(linear) is nn.Linear for linear in group)
    assert set(model.state_dict()) == names


def test_unlike_biases_are_left_alone() -> None:
    model = tiny("llama")
    layer = model.model.layers[0].self_attn
    layer.q_proj.bias = nn.Parameter(torch.zeros(32))
    assert join_weights(model) == 3


def test_equal_products_become_one() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.other = (nn.Parameter(torch.randn(4, 4)) for _ in range(2))

        def forward(self, x: Tensor) -> Tensor:
            first, second = F.linear(x, self.weight), F.linear(x, self.weight)
            return first + second + F.linear(x, self.other) + F.linear(first, self.weight)

    module = Twice()
    traced = torch.fx.symbolic_trace(module)
    x = torch.randn(3, 4)
    assert drop_repeats(traced) == 1
    torch.testing.assert_close(traced(x), module(x))
    assert drop_repeats(traced) == 0


def test_a_repeat_after_a_change_in_place_is_no_repeat() -> None:
    class Changed(nn.Module):
        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            first = F.linear(x, weight)
            x.add_(1)
            return first + F.linear(x, weight)

    traced = torch.fx.symbolic_trace(Changed())
    x, weight = torch.randn(3, 4), torch.randn(4, 4)
    expected = Changed()(x.clone(), weight)
    drop_repeats(traced)
    torch.testing.assert_close(traced(x.clone(), weight), expected)


def test_a_step_is_compiled_once_for_all_numbers_of_rows(monkeypatch) -> None:
    """Traced as on a GPU: attention is an operator, not what stands in for it on a CPU."""
    torch._dynamo.reset()
    graphs = []

    def eager(graph, inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(compiled, "compile_fx", eager)
    turn = functools.partial(torch.compile, backend=eager, dynamic=True, fullgraph=True)
    monkeypatch.setattr(compiled, "_compiled", functools.cache(turn))
    monkeypatch.setattr(DecodePass, "attend", attend_by_operator)
    monkeypatch.setitem(launch.decode_attention._backend_fns, None, zeros_for)
    model, _ = make_tiny_model(0)
    engine = DeviceEngine(model, 64, EngineConfig())
    prompts = [Prompt("p", "", tuple(range(1, 40)))]
    engine._make_slots(prompts, [[100] * 64])
    step = engine._device.step
    with torch.inference_mode(), engine._mode():
        engine._cache.allocate(1)
        for rows in (64, *(size for size in BUCKETS if size < 64)):
            with engine._for_capture():
                engine._device.slots.silence()
                step.run_once(rows, Sampling(max_completion_tokens=100))
            # A layer, what stands before and after the layers, random numbers, the slots' turn.
            assert len(graphs) == 5, rows


def attend_by_operator(self, module, query, key, value, scale, window):
    out = launch.decode_attention(
        *(query, key, value, module.ponder_pages, *self._sequences, self._runs, scale),
        *(launch.EVERYTHING, self._splits, value.shape[3], False),
    )
    return out.transpose(1, 2)


def zeros_for(query, *args):
    return query.new_zeros(query.shape)
