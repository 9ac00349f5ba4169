"""What passes and what does not, on values that a program gave."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.verify.code.compare import holds, same_json, same_output, same_value
from ponder.verify.code.kinds import Relation, StdioTest, ValueTest

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("wanted", "printed", "is_same"),
    [
        ("3", b"3\n", True),
        ("3\n", b"3", True),
        ("a\nb", b"a  \r\nb\t\n\n\n", True),
        ("", b"", True),
        ("", b"\n\n", True),
        ("a\nb", b"a\n", False),  # a prefix is not enough
        ("a", b"a\nb", False),
        ("a", b"\na", False),
        ("a b", b"a  b", False),
        (" a", b"a", False),
        ("a", b"A", False),
        ("3", b"3.0", False),
        ("3", b"\xff3", False),
        ("3", b"\x1b[2K3", False),
        ("3", b"3\x00", False),
        ("a\nb", "a\u2028b".encode(), False),
        ("3", "３".encode(), False),
    ],
)
def test_output(wanted: str, printed: bytes, is_same: bool) -> None:
    assert same_output(StdioTest("", wanted), printed) is is_same


@pytest.mark.parametrize(
    ("wanted", "printed", "is_same"),
    [
        ("x 0.3333333", b"x 0.33333331", True),
        ("1e3", b"1000", True),
        ("0.5", b"0.6", False),
        ("0.5", b"nan", False),
        ("0.5", b"0.5 0.5", False),
        ("5", b"5_0", False),
        ("inf", b"inf", True),
        ("1e308", b"1e400", False),
    ],
)
def test_output_with_a_tolerance(wanted: str, printed: bytes, is_same: bool) -> None:
    assert same_output(StdioTest("", wanted, tolerance=1e-6), printed) is is_same


@pytest.mark.parametrize(
    ("expected", "value", "is_same"),
    [
        (1, 1, True),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (5, 5.0, False),
        (5.0, 5, True),
        (5.0, True, False),
        (1 / 3, 0.33333333, True),
        (1 / 3, 0.3333, False),
        (1e-7, 2e-7, False),
        (0.0, 1e-13, True),
        (0.0, 1e-9, False),
        (INF, INF, True),
        (INF, -INF, False),
        (1.0, NAN, False),
        (NAN, NAN, False),
        (1.0, 10**400, False),
        (1.0, "1.0", False),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
        (None, [], False),
        ([1, 2], (1, 2), True),
        ([1, 2], [1], False),
        ([1], [1, 2], False),
        ([1, 2], {1, 2}, False),
        ([1.0, [2.0]], (1, (2.0000001,)), True),
        ("ab", ["a", "b"], False),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"1": "x"}, {1: "x"}, True),
        ({"1": "x"}, {1: "x", "1": "x"}, False),
        ({}, [], False),
        (5, 5 + 0j, False),
    ],
)
def test_call_results(expected: Any, value: Any, is_same: bool) -> None:
    assert same_json(expected, value) is is_same


@pytest.mark.parametrize(
    ("relation", "expected", "value", "passes"),
    [
        ("==", True, 1, True),  # as Python has it
        ("==", (1, 2), [1, 2], False),
        ("==", {1, 2}, frozenset({2, 1}), True),
        ("==", {"a": [0.1]}, {"a": [0.10000001]}, True),
        ("==", 1.0, True, True),
        ("==", 3, 3.0, True),
        ("==", 2j, 2j, True),
        ("==", 0.5, NAN, False),
        ("!=", 0.5, NAN, False),
        ("!=", 5, 6, True),
        ("!=", 5, 5, False),
        ("is", True, 1, False),
        ("is", None, None, True),
        ("is not", None, 0, True),
        ("in", [1, 2], 2, True),
        ("in", [1, 2], 3, False),
        ("in", "abc", "b", True),
        ("in", "abc", 1, False),
        ("not in", [1], 2, True),
        ("<", 3, 2, True),
        ("<", 3, "2", False),
        (">=", 3, NAN, False),
        ("close", 0.5, 0.5000001, True),
        ("close", 0.5, 0.51, False),
        ("close", 0.5, "0.5", False),
        ("close", 0.5, NAN, False),
    ],
)
def test_relations(relation: Relation, expected: Any, value: Any, passes: bool) -> None:
    assert holds(ValueTest("f()", expected, relation, absolute=1e-6), value) is passes


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_nesting_is_bounded() -> None:
    assert same_json(deep(90), deep(90))
    assert not same_json(deep(90), deep(50_000))
    assert not same_json(deep(5000), deep(5000))
    assert not same_value(deep(5000), deep(5000))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_a_value_is_itself(value: Any) -> None:
    assert same_json(value, value)
    assert same_value(value, value)


@given(PLAIN, PLAIN)
def test_what_json_calls_the_same_python_does_too(one: Any, other: Any) -> None:
    if same_json(one, other):
        assert same_value(one, other)
