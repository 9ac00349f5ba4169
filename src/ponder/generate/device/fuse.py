"""Passes over the graph of a decoder layer that turn what several kernels do into one's work.

They look for what transformers' modules write down (a norm, a gate, a rotation) and leave alone
what they do not recognize: it is then compiled as it stands.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.fx import Graph, GraphModule, Node
from torch.nn import functional as F

import ponder.generate.device.launch  # defines the operators
import ponder.generate.device.product  # noqa: F401

DEPTHS = 64
"""A product's depth must be a multiple of it."""


class Norm(NamedTuple):
    """A root-mean-square norm: what goes in, its weight and epsilon."""

    x: Any
    weight: Any
    epsilon: Any


def rotate_inside(module: GraphModule) -> int:
    """Let attention rotate query and key; returns how often. Both must be by the same angles."""
    attention = torch.ops.ponder.decode_attention
    calls = [n for n in module.graph.nodes if n.target in (attention, attention.default)]
    count = 0
    for node in calls:
        query, key = (_rotation(arg) for arg in node.args[:2])
        if query is None or key is None or query[1:] != key[1:]:
            continue
        old = node.args[:2]
        node.args = (query[0], key[0], *node.args[2:14], *query[1:])
        for arg in old:
            _erase_unused(arg)
        count += 1
    module.recompile()
    return count


def join_products(module: GraphModule, below: int) -> int:
    """Turn linear products of fewer than ``below`` weights into ``joined_product`` with the norm
    before and the gate or sum behind them; returns how many."""
    graph = module.graph
    found = [node for node in graph.nodes if node.target is F.linear and _fits(node, below)]
    for node in found:
        _join(graph, node)
    module.recompile()
    return len(found)


def _fits(node: Node, below: int) -> bool:
    weight = None if node.kwargs else _value(node.args[1])
    if weight is None or weight.numel() >= below:
        return False
    return bool(weight.is_contiguous() and weight.shape[1] % DEPTHS == 0)


def _join(graph: Graph, linear: Node) -> None:
    x, weight, bias = (*linear.args, None)[:3]
    norm = _norm(x) if isinstance(x, Node) and len(x.users) == 1 else None
    gate = _gate(linear)
    total = None if gate else _sum(linear)
    last = gate or (total[0] if total else linear)
    start, norm_weight, epsilon = norm or (x, None, 0.0)
    with graph.inserting_before(last):
        residual = total[1] if total else None
        args = (start, weight, bias, norm_weight, epsilon, residual, gate is not None)
        joined = graph.call_function(torch.ops.ponder.joined_product.default, args)
    joined.meta = dict(last.meta)
    last.replace_all_uses_with(joined)
    _erase_unused(last)


def _gate(linear: Node) -> Node | None:
    """silu(y[..., :half]) * y[..., half:] of y = ``linear``, and no other use of y."""
    parts = {_part(user, _value(linear)): user for user in linear.users}
    if len(linear.users) != 2 or set(parts) != {0, 1} or len(parts[0].users) != 1:
        return None
    silu = next(iter(parts[0].users))
    if silu.target is not F.silu or len(silu.users) != 1:
        return None
    product = next(iter(silu.users))
    if _is(product, operator.mul, torch.mul) and set(product.args) == {silu, parts[1]}:
        return product
    return None


def _part(node: Node, whole: Any) -> int | None:
    """0 for the first half of the last dimension of ``whole``, 1 for the second."""
    if node.target is not operator.getitem or whole is None or whole.shape[-1] % 2:
        return None
    half = whole.shape[-1] // 2
    halves: list[Any] = [(..., slice(0, half, None)), (..., slice(half, 2 * half, None))]
    return halves.index(node.args[1]) if node.args[1] in halves else None


def _sum(linear: Node) -> tuple[Node, Node] | None:
    """(residual + ``linear``, residual), where nothing else uses ``linear``."""
    user = next(iter(linear.users))
    if len(linear.users) != 1 or not _is(user, operator.add, torch.add) or len(user.args) != 2:
        return None
    other = user.args[1] if user.args[0] is linear else user.args[0]
    values = [_value(node) for node in (other, linear)]
    if any(value is None for value in values) or other is linear:
        return None
    same = values[0].shape == values[1].shape and values[0].dtype == values[1].dtype
    return (user, other) if same and isinstance(other, Node) else None


def _norm(node: Node) -> Norm | None:
    """weight * (h * rsqrt(mean(h ** 2) + epsilon)).to(dtype), where h is x in float32."""
    for weight, rounded in _both_orders(node, operator.mul):
        scaled = _call(rounded, "to")
        for wide, inverse in _both_orders(scaled, operator.mul) if scaled else []:
            x, mean = _call(wide, "to"), _inverse_of(inverse)
            if x is None or mean is None or getattr(weight, "op", "") != "placeholder":
                continue
            square = _call(mean[0], "mean", (-1,), {"keepdim": True})
            if square is not None and _call(square, "pow", (2,)) is wide:
                return Norm(x, weight, mean[1])
    return None


def _inverse_of(node: Any) -> tuple[Any, Any] | None:
    """(mean, epsilon) of rsqrt(mean + epsilon)."""
    total: Any = node.args[0] if _is(node, torch.rsqrt) else None
    return (total.args[0], total.args[1]) if _is(total, operator.add) else None


def _rotation(node: Any) -> tuple[Any, Any, Any] | None:
    """(x, cos, sin) of x * cos + cat(-x[..., half:], x[..., :half]) * sin."""
    for plain, turned in _both_orders(node, operator.add):
        for x, cos in _both_orders(plain, operator.mul):
            for crossed, sin in _both_orders(turned, operator.mul):
                if _is_crossed(crossed, x) and _is_angle(cos) and _is_angle(sin):
                    return x, cos, sin
    return None


def _is_crossed(node: Any, x: Any) -> bool:
    """Whether it is cat((-second half of x, first half of x), -1)."""
    value = _value(x)
    if not isinstance(node, Node) or node.target is not torch.cat or value is None:
        return False
    if node.kwargs.get("dim", node.args[-1]) != -1 or value.shape[-1] % 2:
        return False
    halves: Any = node.args[0]
    if not isinstance(halves, list | tuple) or len(halves) != 2 or not _is(halves[0], operator.neg):
        return False
    half = value.shape[-1] // 2
    parts: list[Any] = [halves[1], halves[0].args[0]]
    places = [(..., slice(None, half, None)), (..., slice(half, None, None))]
    pairs = zip(parts, places, strict=True)
    return all(_is(part, operator.getitem) and part.args == (x, place) for part, place in pairs)


def _is_angle(node: Any) -> bool:
    """Whether it is one vector for each row: [N, 1, 1, D]."""
    value = _value(node)
    return value is not None and value.dim() == 4 and value.shape[1] == value.shape[2] == 1


def _both_orders(node: Any, operation: Callable[..., Any]) -> list[tuple[Any, Any]]:
    """The two operands in both orders; nothing where it is another operation."""
    if not _is(node, operation) or len(node.args) != 2:
        return []
    first, second = node.args
    return [(first, second), (second, first)]


def _call(
    node: Any, method: str, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
) -> Any:
    """What ``method`` is called on, if ``node`` is such a call (of ``to``: with any dtype)."""
    if not isinstance(node, Node) or node.op != "call_method" or node.target != method:
        return None
    if method == "to":
        return node.args[0] if len(node.args) == 2 and not node.kwargs else None
    return node.args[0] if node.args[1:] == args and node.kwargs == (kwargs or {}) else None


def _is(node: Any, *operations: Callable[..., Any]) -> bool:
    return isinstance(node, Node) and node.target in operations


def _value(node: Any) -> Any:
    """The example that torch traced with, which knows shape and dtype."""
    return node.meta.get("example_value") if isinstance(node, Node) else None


def _erase_unused(node: Any) -> None:
    """Take out ``node`` and what only it needed; in-place calls and the graph's inputs stay."""
    if not isinstance(node, Node) or node.users or node.op not in ("call_function", "call_method"):
        return
    if node.op == "call_method" and str(node.target).endswith("_"):
        return
    inputs = list(node.all_input_nodes)
    node.graph.erase_node(node)
    for each in inputs:
        _erase_unused(each)
