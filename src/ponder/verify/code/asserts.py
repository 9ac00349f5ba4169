"""Asserts taken apart: what the child must evaluate, and what only we may know.

``assert f(2) == [1, 2]`` becomes the expression ``f(2)`` and the value ``[1, 2]``. Whatever cannot
be split so that nothing of the expected value is left in the expression becomes a ``CheckTest``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import get_args

from ponder.verify.code.constants import NotConstantError, constant, is_constant
from ponder.verify.code.expressions import (
    BUILTINS,
    NotSplitError,
    candidate_expression,
    dotted_name,
)
from ponder.verify.code.kinds import CheckTest, CodeTest, Relation, ValueTest

_RELATIONS: Mapping[type[ast.cmpop], Relation] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_MIRRORED: Mapping[Relation, Relation] = {
    "==": "==", "!=": "!=", "is": "is", "is not": "is not",
    "<": ">", "<=": ">=", ">": "<", ">=": "<=",
}  # fmt: skip
_NEGATED: Mapping[Relation, Relation] = {
    "==": "!=", "!=": "==", "is": "is not", "is not": "is", "in": "not in", "not in": "in",
    "<": ">=", "<=": ">", ">": "<=", ">=": "<",
}  # fmt: skip


def split_assert(text: str, setup: str = "") -> CodeTest:
    """A ValueTest if the text is one assert that can be taken apart, else a CheckTest.

    ``setup`` runs after the program and before the assert. Raises SyntaxError if the text is no
    Python.
    """
    body = ast.parse(text.strip()).body
    if len(body) == 1 and isinstance(body[0], ast.Assert):
        try:
            return _split(body[0].test, setup)
        except NotSplitError:
            pass
    return CheckTest(f"{setup}\n{text.strip()}\n")


def split_check(source: str, entry_point: str) -> tuple[CodeTest, ...]:
    """HumanEval's ``check(candidate)``: its asserts one by one, the rest of it as one CheckTest.

    Raises SyntaxError if the source is no Python, ValueError if it defines no ``check``.
    """
    module = ast.parse(source)
    check = next((node for node in module.body if _is_check(node)), None)
    if not isinstance(check, ast.FunctionDef) or not check.args.args:
        raise ValueError("it does not define check(candidate)")
    tests: list[CodeTest] = []
    rest: list[ast.stmt] = []
    rename = _Rename(check.args.args[0].arg, entry_point)
    for statement in check.body:
        if _says_nothing(statement):
            continue
        try:
            tests.append(_split_statement(statement, rename))
        except NotSplitError:
            rest.append(statement)
    if any(isinstance(node, ast.Assert) for statement in rest for node in ast.walk(statement)):
        check.body = rest
        tests.append(CheckTest(f"{ast.unparse(module)}\n\ncheck({entry_point})\n"))
    return tuple(tests)


def _is_check(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "check"


def _says_nothing(statement: ast.stmt) -> bool:
    """``assert True``, a bare ``print``, a docstring."""
    if isinstance(statement, ast.Assert):
        return isinstance(statement.test, ast.Constant) and bool(statement.test.value)
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant | ast.Name)
    )


def _split_statement(statement: ast.stmt, rename: _Rename) -> ValueTest:
    if not isinstance(statement, ast.Assert):
        raise NotSplitError
    names = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
    if not names <= BUILTINS | {rename.old, "math"}:
        raise NotSplitError  # a variable of the check's own
    test = ast.fix_missing_locations(rename.visit(ast.parse(ast.unparse(statement.test)).body[0]))
    return _split(test.value, "import math\n" if "math" in names else "")


class _Rename(ast.NodeTransformer):
    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.new, node.ctx) if node.id == self.old else node


def _split(test: ast.expr, setup: str, is_true: bool = True) -> ValueTest:
    """The test, or with ``is_true=False`` its negation."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _split(test.operand, setup, not is_true)
    if isinstance(test, ast.Compare):
        return _compare(test, setup, is_true)
    if dotted_name(test) in ("math.isclose", "isclose"):
        return _isclose(test, setup, is_true)
    return ValueTest(f"bool({candidate_expression(test)})", is_true, "is", setup)


def _compare(test: ast.Compare, setup: str, is_true: bool) -> ValueTest:
    if len(test.ops) != 1:
        raise NotSplitError
    left, right = test.left, test.comparators[0]
    relation = _RELATIONS[type(test.ops[0])]
    if isinstance(left, ast.Compare) and relation in ("==", "is"):
        return _compare(left, setup, is_true is _truth(right))
    if relation in ("<", "<=") and dotted_name(left) == "abs":
        return _difference(left, right, setup, is_true)
    if is_constant(left):
        if relation not in _MIRRORED:
            raise NotSplitError
        left, right, relation = right, left, _MIRRORED[relation]
    expected = _constant(right)
    return ValueTest(
        candidate_expression(left), expected, relation if is_true else _NEGATED[relation], setup
    )


def _truth(node: ast.expr) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, bool):
        raise NotSplitError
    return node.value


def _difference(left: ast.expr, right: ast.expr, setup: str, is_true: bool) -> ValueTest:
    """``abs(f(x) - 0.33) < 1e-6``: the 0.33 must not go into the child."""
    argument = left.args[0] if isinstance(left, ast.Call) and len(left.args) == 1 else None
    tolerance = _constant(right)
    if not is_true or not isinstance(argument, ast.BinOp) or not isinstance(tolerance, int | float):
        raise NotSplitError
    if not isinstance(argument.op, ast.Sub):
        raise NotSplitError
    value, middle = argument.left, argument.right
    if is_constant(value):
        value, middle = middle, value
    expected = _constant(middle)
    return ValueTest(
        candidate_expression(value), expected, "close", setup, absolute=float(tolerance)
    )


def _isclose(test: ast.expr, setup: str, is_true: bool) -> ValueTest:
    if not is_true or not isinstance(test, ast.Call) or len(test.args) != 2:
        raise NotSplitError
    value, middle = test.args
    if is_constant(value):
        value, middle = middle, value
    limits = {"rel_tol": 1e-9, "abs_tol": 0.0}
    for keyword in test.keywords:
        number = _constant(keyword.value)
        if keyword.arg not in limits or not isinstance(number, int | float):
            raise NotSplitError
        limits[keyword.arg] = float(number)
    expected = _constant(middle)
    return ValueTest(
        candidate_expression(value), expected, "close", setup, limits["rel_tol"], limits["abs_tol"]
    )


def _constant(node: ast.expr) -> object:
    try:
        return constant(node)
    except NotConstantError as error:
        raise NotSplitError from error


assert set(_RELATIONS.values()) | {"close"} == set(get_args(Relation))
