"""Constant expressions of a data set's tests, evaluated without Python's ``eval``.

Literals, and what tests write beside them: small arithmetic (``2.0 / 3.0``), ``tuple([...])``,
``set()``, ``float("inf")``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

MAX_INTEGER = 10**100
MAX_REPEATED = 100_000
_Number = int | float | complex

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGN: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_MADE_FROM_ITEMS: Mapping[str, Callable[..., Any]] = {
    "tuple": tuple,
    "list": list,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
}
_CONTAINERS: Mapping[type[ast.expr], Callable[..., Any]] = {
    ast.Tuple: tuple,
    ast.List: list,
    ast.Set: set,
}


class NotConstantError(Exception):
    """An expression whose value does not follow from itself alone."""


def constant(node: ast.expr) -> object:
    """The value of a constant expression: plain numbers, text, containers, None, bool.

    Raises NotConstantError for anything else, and for values that grow out of hand.
    """
    try:
        return _value(node)
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise NotConstantError(str(error)) from error


def is_constant(node: ast.expr) -> bool:
    try:
        constant(node)
    except NotConstantError:
        return False
    return True


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        if node.value is ...:
            raise NotConstantError("an ellipsis")
        return node.value
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return _CONTAINERS[type(node)](_value(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return _dict(node)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGN:
        return _SIGN[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp):
        return _arithmetic(node.op, _value(node.left), _value(node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _call(node.func.id, [_value(argument) for argument in node.args])
    raise NotConstantError(type(node).__name__)


def _dict(node: ast.Dict) -> dict[Any, Any]:
    if None in node.keys:
        raise NotConstantError("a dict made of others")
    keys = [_value(key) for key in node.keys if key is not None]
    return dict(zip(keys, map(_value, node.values), strict=True))


def _arithmetic(sign: ast.operator, left: Any, right: Any) -> Any:
    numbers = [item for item in (left, right) if isinstance(item, _Number)]
    if any(isinstance(number, int) and abs(number) > MAX_INTEGER for number in numbers):
        raise NotConstantError("a huge integer")
    if len(numbers) < 2:
        return _joined(sign, left, right)
    if isinstance(sign, ast.Pow):
        return _power(left, right)
    if type(sign) not in _ARITHMETIC:
        raise NotConstantError(type(sign).__name__)
    return _ARITHMETIC[type(sign)](left, right)


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(exponent, complex) or abs(exponent) > 64:
        raise NotConstantError("a large power")
    return base**exponent


def _joined(sign: ast.operator, left: Any, right: Any) -> Any:
    """Sequences: one after the other, or one of them several times (``[0] * 5``)."""
    if isinstance(sign, ast.Add) and type(left) is type(right):
        return left + right
    if isinstance(left, int):
        left, right = right, left
    is_repeated = isinstance(left, str | list | tuple) and isinstance(right, int)
    if isinstance(sign, ast.Mult) and is_repeated and len(left) * right <= MAX_REPEATED:
        return left * right
    raise NotConstantError("no arithmetic of numbers")


def _call(name: str, arguments: list[Any]) -> Any:
    if name in _MADE_FROM_ITEMS and len(arguments) <= 1:
        return _MADE_FROM_ITEMS[name](*arguments)
    if name in ("float", "int", "str") and len(arguments) == 1:
        if name == "str":
            return str(arguments[0])
        if isinstance(arguments[0], str | int | float):
            return float(arguments[0]) if name == "float" else int(arguments[0])
    raise NotConstantError(f"a call of {name}")
