"""The part of an assert that the child may see: the candidate's call and what is done to it."""

from __future__ import annotations

import ast
import builtins

from ponder.verify.code.constants import is_constant

BUILTINS = frozenset(dir(builtins))

_WRAPPERS = frozenset(
    {"set", "frozenset", "list", "tuple", "sorted", "dict", "str", "int", "float", "bool"}
    | {"len", "sum", "round", "abs", "any", "all"}
)


class NotSplitError(Exception):
    """The assert can only be run as it stands."""


def dotted_name(node: ast.expr) -> str:
    """The name that a call calls, or ""."""
    if not isinstance(node, ast.Call):
        return ""
    return ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""


def candidate_expression(node: ast.expr) -> str:
    """Source of the candidate's call and what is done to its value, if it gives nothing away."""
    call = _candidate_call(node)
    name = dotted_name(call)
    for inner in ast.walk(call):
        if isinstance(inner, ast.Compare | ast.BoolOp | ast.NamedExpr | ast.Await):
            raise NotSplitError
        if inner is not call and isinstance(inner, ast.Call) and not _is_harmless(inner, name):
            raise NotSplitError
    return ast.unparse(node)


def _candidate_call(node: ast.expr) -> ast.Call:
    """The candidate's own call, below ``set(...)``, ``[0]``, ``.strip()`` and their like."""
    if isinstance(node, ast.Subscript) and is_constant(node.slice):
        return _candidate_call(node.value)
    if not isinstance(node, ast.Call):
        raise NotSplitError
    if isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
        if isinstance(node.func.value, ast.Call | ast.Subscript):
            return _candidate_call(node.func.value)
        return node
    if dotted_name(node) in _WRAPPERS and node.args and _is_compound(node.args[0]):
        has_plain_rest = dotted_name(node) == "round" and all(map(is_constant, node.args[1:]))
        if (len(node.args) == 1 or has_plain_rest) and not node.keywords:
            return _candidate_call(node.args[0])
    return node


def _is_compound(node: ast.expr) -> bool:
    return isinstance(node, ast.Call | ast.Subscript) and not is_constant(node)


def _is_harmless(inner: ast.Call, outer: str) -> bool:
    """A call among the arguments: of a builtin, or of a class of the candidate's.

    In ``isinstance(f(x), int)`` or ``np.allclose(f(x), y)`` the call that counts is the inner one.
    """
    name = dotted_name(inner)
    return name in BUILTINS or (name[:1].isupper() and outer not in BUILTINS)


def called_name(text: str) -> str:
    """The function that an assert is about (``f`` of ``assert set(f(1)) == {2}``), or ""."""
    try:
        body = ast.parse(text.strip()).body
    except SyntaxError:
        return ""
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        return ""
    node = body[0].test
    try:
        return dotted_name(_candidate_call(node.left if isinstance(node, ast.Compare) else node))
    except NotSplitError:
        return ""
