"""A pass over the graph of a decoder layer that lets attention's kernel rotate query and key.

It looks for what transformers' modules write down and leaves alone what it does not recognize: that
is then compiled as it stands.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import GraphModule, Node

import ponder.generate.device.launch  # noqa: F401 - defines the operator


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
