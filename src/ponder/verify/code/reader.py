"""Tests as JSON has them, made into the kinds of test; a bad one says what to mend."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ponder.errors import PonderError
from ponder.verify.code.asserts import split_assert, split_check
from ponder.verify.code.compare import MAX_DEPTH
from ponder.verify.code.kinds import CallTest, CodeTest, StdioTest

_FUNCTION = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)?")
_FIELDS: Mapping[str, frozenset[str]] = {
    "stdout": frozenset({"stdin", "stdout", "tolerance"}),
    "call": frozenset({"call", "args", "kwargs", "expected"}),
    "assert": frozenset({"assert", "setup"}),
    "check": frozenset({"check", "entry_point"}),
}
_MAX_REMEMBERED = 200_000  # characters
_KINDS = (
    '{"stdin": "1 2", "stdout": "3"}, {"call": "f", "args": [1, 2], "expected": 3}, '
    '{"assert": "assert f(1, 2) == 3"} or {"check": "def check(candidate): ...", '
    '"entry_point": "f"}'
)


def read_tests(rows: Iterable[object], where: str = "tests") -> tuple[CodeTest, ...]:
    """The tests of one problem, in order; a ``check`` row becomes several.

    Raises PonderError naming the row (from 1) and its field.
    """
    tests: list[CodeTest] = []
    for number, row in enumerate(rows, 1):
        tests.extend(read_test(row, f"{where} {number}"))
    if not tests:
        raise PonderError(where, [], f"give at least one test: {_KINDS}")
    return tuple(tests)


def parse_tests(text: str) -> tuple[CodeTest, ...]:
    """As ``read_tests``, from JSON text; the completions of a problem share one reading."""
    return _remembered(text) if len(text) <= _MAX_REMEMBERED else read_tests(json.loads(text))


@lru_cache(maxsize=256)
def _remembered(text: str) -> tuple[CodeTest, ...]:
    return read_tests(json.loads(text))


def read_test(row: object, where: str) -> tuple[CodeTest, ...]:
    """One row of JSON; ``where`` names it in errors."""
    if not isinstance(row, Mapping):
        raise PonderError(where, row, f"write a JSON object: {_KINDS}")
    kind = next((kind for kind in _FIELDS if kind in row), None)
    if kind is None:
        raise PonderError(where, dict(row), f"write one of {_KINDS}")
    for name in row:
        if name not in _FIELDS[kind]:
            fix = f"drop it; a test with {kind!r} has {sorted(_FIELDS[kind])}"
            raise PonderError(f"{where}, {name}", row[name], fix)
    if kind == "stdout":
        return (_stdio(row, where),)
    if kind == "call":
        return (_call(row, where),)
    return _asserts(row, kind, where)


def _stdio(row: Mapping[str, Any], where: str) -> StdioTest:
    tolerance = row.get("tolerance")
    if tolerance is not None and not (_is_number(tolerance) and 0 <= tolerance < 1):
        raise PonderError(f"{where}, tolerance", tolerance, "give a number from 0 to below 1")
    stdin = _text(row, "stdin", where) if "stdin" in row else ""
    return StdioTest(stdin, _text(row, "stdout", where), tolerance)


def _call(row: Mapping[str, Any], where: str) -> CallTest:
    name = _text(row, "call", where)
    if not _FUNCTION.fullmatch(name):
        raise PonderError(f"{where}, call", name, "name a function, or Class.method")
    if "expected" not in row:
        raise PonderError(f"{where}, expected", None, "say what the call must return (null counts)")
    args, kwargs = row.get("args", []), row.get("kwargs", {})
    if not isinstance(args, list):
        raise PonderError(f"{where}, args", args, "write a JSON list, one item per argument")
    if not isinstance(kwargs, dict) or not all(str(name).isidentifier() for name in kwargs):
        raise PonderError(f"{where}, kwargs", kwargs, "write a JSON object of named arguments")
    _check_value(row["expected"], f"{where}, expected")
    _check_value(args, f"{where}, args", may_be_nan=True)
    return CallTest(name, tuple(args), row["expected"], kwargs)


def _asserts(row: Mapping[str, Any], kind: str, where: str) -> tuple[CodeTest, ...]:
    try:
        if kind == "assert":
            setup = _text(row, "setup", where) if "setup" in row else ""
            return (split_assert(_text(row, "assert", where), setup),)
        tests = split_check(_text(row, "check", where), _text(row, "entry_point", where))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise PonderError(f"{where}, {kind}", row[kind], f"it is not Python: {error}") from error
    if not tests:
        raise PonderError(f"{where}, check", row["check"], "check(candidate) asserts nothing")
    return tests


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise PonderError(f"{where}, {name}", value, "write a JSON string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise PonderError(f"{where}, {name}", value, "half a surrogate pair is no text") from error
    return value


def _check_value(value: object, where: str, may_be_nan: bool = False, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise PonderError(where, "...", f"nest at most {MAX_DEPTH} lists or objects")
    if isinstance(value, float) and math.isnan(value) and not may_be_nan:
        raise PonderError(where, value, "NaN equals nothing, so no program could pass")
    items: Iterable[object] = ()
    if isinstance(value, list):
        items = value
    elif isinstance(value, dict):
        items = value.values()
    for item in items:
        _check_value(item, where, may_be_nan, depth + 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
