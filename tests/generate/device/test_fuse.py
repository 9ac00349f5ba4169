"""The rotation of query and key moves into attention: the same numbers from fewer operations."""

from __future__ import annotations

import operator

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from transformers import PreTrainedModel

from ponder.generate.attention import engine_mode
from ponder.generate.device import launch
from ponder.generate.device.compiled import (
    _as_one_product,
    drop_repeats,
    join_weights,
    joined_linears,
)
from ponder.generate.device.fuse import rotate_inside
from ponder.models.layers import decoder_layers
from ponder.models.tiny import make_tiny_model

ATTENTION = torch.ops.ponder.decode_attention


class _Attending:
    """An engine's pass that calls the operator of the GPU."""

    def attend(self, module, query, key, value, scale, window) -> Tensor:
        return attention(query, key, value, scale).transpose(1, 2)


def attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """The operator of the GPU, of sequences that nothing is said of."""
    nothing = torch.zeros(3, dtype=torch.int64)
    return launch.decode_attention(
        query, key, value, nothing, nothing, nothing, nothing, nothing, nothing, scale,
        launch.EVERYTHING, 1, value.shape[3], False,
    )  # fmt: skip


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
def test_no_rotation_is_left_in_a_layer(family: str, dtype: torch.dtype) -> None:
    model = tiny(family, dtype)
    expected, plain = layer_graphs(model, lambda graph: None)
    assert all(count(graph, torch.cat) == 2 for graph in plain)
    moved: list[int] = []
    found, graphs = layer_graphs(model, lambda graph: moved.append(rotate_inside(graph)))
    tolerance = 1e-5 if dtype is torch.float32 else 4e-2
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    assert moved == [1] * len(graphs)
    for graph in graphs:
        assert count(graph, ATTENTION, ATTENTION.default) == 1
        assert count(graph, torch.cat, operator.neg) == 0


class _Almost(nn.Module):
    """Attention to what is nearly rotated as expected."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        first, second = query[..., :8], query[..., 8:]
        if self.kind == "other parts":
            first, second = query[..., :6], query[..., 6:]
        crossed = torch.cat((-second, first), dim=-1)
        if self.kind == "the other way":
            crossed = torch.cat((second, -first), dim=-1)
        turned = query * cos + crossed * sin
        if self.kind == "angles for each head":
            cos, sin = cos.expand(-1, 2, -1, -1) * 1.0, sin.expand(-1, 2, -1, -1) * 1.0
        elif self.kind == "angles of its own":
            cos = cos * 0.5
        new_key = key * cos + torch.cat((-key[..., 8:], key[..., :8]), dim=-1) * sin
        out = attention(turned, new_key, key, 0.3)
        return out + turned if self.kind == "seen elsewhere" else out


KINDS = {
    "as expected": 1,
    "seen elsewhere": 1,
    "other parts": 0,
    "the other way": 0,
    "angles for each head": 0,
    "angles of its own": 0,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_known_stays_right(kind: str) -> None:
    module = _Almost(kind)
    tensors = [torch.randn(3, heads, 1, 16) for heads in (4, 2, 1, 1)]
    seen: list[int] = []

    def backend(graph: GraphModule, inputs):
        seen.append(rotate_inside(graph))
        return graph

    with torch.inference_mode():
        found = torch.compile(module, backend=backend)(*tensors)
        torch.testing.assert_close(found, module(*tensors), atol=1e-5, rtol=1e-5)
    assert seen == [KINDS[kind]]
