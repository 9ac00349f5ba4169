"""Passes over a layer's graph: the same numbers from fewer operations."""

from __future__ import annotations

import operator

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F
from transformers import PreTrainedModel

from ponder.generate.attention import engine_mode
from ponder.generate.device import launch
from ponder.generate.device.compiled import (
    _as_one_product,
    drop_repeats,
    join_weights,
    joined_linears,
    make_fewer,
)
from ponder.generate.device.fuse import join_products, rotate_inside
from ponder.generate.device.switches import switched, switches
from ponder.models.layers import decoder_layers
from ponder.models.tiny import make_tiny_model

JOINED = torch.ops.ponder.joined_product.default
ATTENTION = torch.ops.ponder.decode_attention


class _Attending:
    """An engine's pass that calls the operator of the GPU."""

    def attend(self, module, query, key, value, scale, window) -> Tensor:
        nothing = torch.zeros(3, dtype=torch.int64)
        out = launch.decode_attention(
            query, key, value, nothing, nothing, nothing, nothing, nothing, nothing, scale,
            launch.EVERYTHING, 1, value.shape[3], False,
        )  # fmt: skip
        return out.transpose(1, 2)


def clear_attention(
    query, key, value, pages, table, prefix, own, active, runs, scale, window, splits, value_dim,
    is_latent, cos=None, sin=None,
):  # fmt: skip
    """A stand-in that mixes queries and keys, so that each one's rotation shows."""
    if cos is not None:
        query, key = rotated(query, cos, sin), rotated(key, cos, sin)
    weights = (query * key.repeat_interleave(query.shape[1] // key.shape[1], 1)).sum(-1, True)
    return weights * scale * value.repeat_interleave(query.shape[1] // key.shape[1], 1)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


@pytest.fixture(autouse=True)
def attention_on_the_cpu():
    """The operator is the stand-in: its kernels need a GPU."""
    with torch.library._scoped_library("ponder", "IMPL") as library:
        library.impl("decode_attention", clear_attention, "CPU", allow_override=True)
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()


def layer_graphs(model: PreTrainedModel, passes) -> tuple[Tensor, list[GraphModule]]:
    """The model's output with its layers' graphs gone through ``passes``, and the graphs."""
    graphs: list[GraphModule] = []

    def backend(graph: GraphModule, inputs):
        drop_repeats(graph)
        passes(graph)
        graph.graph.lint()
        graphs.append(graph)
        return graph

    ids = torch.tensor([[5], [77], [130]])
    with torch.inference_mode(), engine_mode(model):
        groups = [_as_one_product(group) for group in joined_linears(model)]
        for group in groups:
            group.__enter__()
        for layer in decoder_layers(model):
            layer.compile(backend=backend, dynamic=True)
        try:
            out = model.model(
                input_ids=ids, position_ids=ids, use_cache=False, engine_pass=_Attending()
            )
        finally:
            for layer in decoder_layers(model):
                layer._compiled_call_impl = None
            for group in groups:
                group.__exit__(None, None, None)
    return out.last_hidden_state, graphs


def count(graph: GraphModule, *targets) -> int:
    return sum(node.target in targets for node in graph.graph.nodes)


def tiny(family: str, dtype=torch.float32) -> PreTrainedModel:
    model, _ = make_tiny_model(0, family, hidden_size=64)
    for name, parameter in model.named_parameters():
        if "norm" in name or "bias" in name:
            torch.nn.init.normal_(parameter, 1 if "norm" in name else 0)
    model = model.to(dtype)
    join_weights(model)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_layer_is_four_products_and_attention(family: str, dtype: torch.dtype) -> None:
    model = tiny(family, dtype)
    expected, _ = layer_graphs(model, lambda graph: None)

    def passes(graph: GraphModule) -> None:
        assert rotate_inside(graph) == 1
        assert join_products(graph, 10**9) == 4

    found, graphs = layer_graphs(model, passes)
    tolerance = 1e-5 if dtype is torch.float32 else 4e-2
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    for graph in graphs:
        assert count(graph, JOINED) == 4
        assert count(graph, ATTENTION, ATTENTION.default) == 1
        left = (F.linear, F.silu, torch.rsqrt, torch.cat, operator.mul, operator.add)
        assert count(graph, *left) == 0


def test_large_products_stay() -> None:
    model = tiny("llama")
    layer = decoder_layers(model)[0]
    sizes = {linear.weight.numel() for linear in (layer.self_attn.o_proj, layer.mlp.down_proj)}
    _, graphs = layer_graphs(model, lambda graph: join_products(graph, max(sizes) + 1))
    assert count(graphs[0], JOINED) == 2
    assert count(graphs[0], F.linear) == 2  # those that are several side by side


def test_nothing_changes_by_default() -> None:
    model = tiny("llama")
    _, graphs = layer_graphs(model, make_fewer)
    assert count(graphs[0], JOINED) == 0
    with switched(products_below=10**9, rotate_inside=True):
        assert switches().rotate_inside
        torch._dynamo.reset()
        _, graphs = layer_graphs(model, make_fewer)
    assert count(graphs[0], JOINED) == 4
    assert not switches().rotate_inside


class _Other(nn.Module):
    """Almost what the passes look for."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.weight = nn.Parameter(torch.randn(128, 64))
        self.norm = nn.Parameter(torch.randn(64))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        x = (self.norm + 1 if self.kind == "one more" else self.norm) * wide.to(x.dtype)
        if self.kind == "by name":
            return F.linear(input=x, weight=self.weight)
        if self.kind == "turned":
            return F.linear(x, self.weight[:64].T)
        y = F.linear(x, self.weight)
        if self.kind == "seen elsewhere":
            y = y + x.sum(-1, keepdim=True)
        gate, up = y[..., :64], y[..., 64:128]
        if self.kind == "half by itself":
            up = y[..., :64]
        act = F.gelu if self.kind == "gelu" else F.silu
        return act(gate) * up


@pytest.mark.parametrize(
    "kind", ["one more", "seen elsewhere", "half by itself", "gelu", "by name", "turned"]
)
def test_what_is_not_known_stays_right(kind: str) -> None:
    module, x = _Other(kind), torch.randn(3, 64)
    seen: list[int] = []

    def backend(graph: GraphModule, inputs):
        seen.append(join_products(graph, 10**9))
        return graph

    with torch.inference_mode():
        found = torch.compile(module, backend=backend)(x)
        torch.testing.assert_close(found, module(x), atol=1e-5, rtol=1e-5)
    assert seen == [0 if kind in ("by name", "turned") else 1]
