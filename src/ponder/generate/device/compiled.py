"""torch.compile around a decode step while it is captured."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch._inductor.compile_fx import compile_fx
from torch.nn import functional as F

from ponder.generate.device.fuse import rotate_inside
from ponder.models.layers import decoder_layers

P = ParamSpec("P")
T = TypeVar("T")

SIDE_BY_SIDE = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Linear layers of one module that read the same input: one product is faster than several."""

IN_PLACE = (operator.setitem, operator.iadd, operator.isub, operator.imul, operator.itruediv)


@contextmanager
def compiled_for_decode(model: Any, enabled: bool) -> Iterator[None]:
    """Inside, a decode step runs compiled: once for all layers and numbers of rows."""
    if not enabled:
        yield
        return
    modules = [*decoder_layers(model), *_around_layers(model)]
    with ExitStack() as stack:
        for group in joined_linears(model):
            stack.enter_context(_as_one_product(group))
        stack.enter_context(_compiling_functions())
        for module in modules:
            module.compile(backend=_inductor_of_fewer, dynamic=True)
            stack.callback(setattr, module, "_compiled_call_impl", None)
        yield


def _around_layers(model: Any) -> list[nn.Module]:
    """What the model calls before and after its layers, but for looking up embeddings."""
    layers = decoder_layers(model)
    children = model.base_model.children()
    return [c for c in children if c is not layers and not isinstance(c, nn.Embedding)]


_compiles_functions = False


@contextmanager
def _compiling_functions() -> Iterator[None]:
    global _compiles_functions
    _compiles_functions = True
    try:
        yield
    finally:
        _compiles_functions = False


def perhaps_compiled(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, compiled while a step is captured."""
    return _compiled(function) if _compiles_functions else function


@functools.cache
def _compiled(function: Callable[P, T]) -> Callable[P, T]:
    return torch.compile(function, dynamic=True, fullgraph=True)


def _inductor_of_fewer(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
    """torch's own compiler, after equal products have become one (it would compute each) and
    rotations have moved into attention."""
    drop_repeats(graph)
    rotate_inside(graph)
    return compile_fx(graph, inputs)


def drop_repeats(graph: torch.fx.GraphModule) -> int:
    """Let every linear product with the same arguments be computed once; returns how many went."""
    seen: dict[Any, torch.fx.Node] = {}
    repeats = 0
    for node in list(graph.graph.nodes):
        if _writes(node):
            seen.clear()
        if node.target is not F.linear:
            continue
        key = (node.args, tuple(node.kwargs.items()))
        first = seen.setdefault(key, node)
        if first is not node:
            node.replace_all_uses_with(first)
            graph.graph.erase_node(node)
            repeats += 1
    graph.recompile()
    return repeats


def _writes(node: torch.fx.Node) -> bool:
    """Whether it may change a tensor in place: ``x.add_``, ``x += 1``, ``x[0] = 1``."""
    if node.op == "call_method":
        return str(node.target).endswith("_")
    return node.target in IN_PLACE


def join_weights(model: nn.Module) -> int:
    """Move the weights of linear layers that read the same input side by side in memory.

    Parameters stay what they are (each becomes a view of a part); returns the groups joined.
    Their products can then be computed as one. Must come before an optimizer or a graph notes
    addresses.
    """
    groups = [group for group in _candidates(model) if not _are_joined(group)]
    for group in groups:
        for name in ("weight", "bias"):
            parts = [getattr(linear, name) for linear in group]
            if parts[0] is None:
                continue
            with torch.inference_mode(False):  # they will be trained
                whole = torch.cat([part.data for part in parts])
                views = torch.split(whole, [len(part) for part in parts])
                for part, view in zip(parts, views, strict=True):
                    part.data = view
    return len(groups)


def joined_linears(model: nn.Module) -> list[list[nn.Linear]]:
    """Groups of linear layers whose weights ``join_weights`` has put side by side."""
    return [group for group in _candidates(model) if _are_joined(group)]


def _candidates(model: nn.Module) -> list[list[nn.Linear]]:
    found = []
    for module in model.modules():
        for names in SIDE_BY_SIDE:
            group: list[Any] = [module._modules.get(name) for name in names]
            plain = all(type(linear) is nn.Linear for linear in group)
            if plain and len({linear.bias is None for linear in group}) == 1:
                found.append(group)
    return found


def _are_joined(group: list[nn.Linear]) -> bool:
    return all(
        _follows(getattr(first, name), getattr(second, name))
        for first, second in itertools.pairwise(group)
        for name in ("weight", "bias")
    )


def _follows(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    same = first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
    return same and first.data_ptr() + first.nbytes == second.data_ptr()


class _Part(nn.Linear):
    """Computes the whole group's product and returns its own part.

    Compiled, the equal products of a group are one: common subexpressions are computed once. The
    group shares one module, by which the compiler knows that the weights are the same.
    """

    whole: nn.Linear
    first: int

    def forward(self, x: Tensor) -> Tensor:
        whole: Tensor = self.whole(x)
        return whole[..., self.first : self.first + self.out_features]


@contextmanager
def _as_one_product(group: list[nn.Linear]) -> Iterator[None]:
    whole = _whole(group)
    first = 0
    for linear in group:
        linear.__class__ = _Part
        linear.whole = whole
        linear.__dict__["first"] = first
        first += linear.out_features
    try:
        yield
    finally:
        for linear in group:
            del linear._modules["whole"], linear.__dict__["first"]
            linear.__class__ = nn.Linear


def _whole(group: list[nn.Linear]) -> nn.Linear:
    """A linear layer over the joined weights of a group, which it shares."""
    leader = group[0]
    rows = sum(linear.out_features for linear in group)
    whole = nn.Linear(leader.in_features, rows, leader.bias is not None, device="meta")
    weight = leader.weight.detach().as_strided((rows, leader.in_features), (leader.in_features, 1))
    whole.weight = nn.Parameter(weight, requires_grad=False)
    if leader.bias is not None:
        bias = leader.bias.detach().as_strided((rows,), (1,))
        whole.bias = nn.Parameter(bias, requires_grad=False)
    return whole
