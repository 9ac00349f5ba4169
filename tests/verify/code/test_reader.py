"""Tests as JSON has them, and rows of the data sets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ponder.errors import PonderError
from ponder.verify.code.kinds import CallTest, CheckTest, StdioTest, ValueTest
from ponder.verify.code.reader import parse_tests, read_tests
from ponder.verify.code.rows import code_metadata, code_row


def test_every_kind() -> None:
    rows = [
        {"stdin": "1", "stdout": "2"},
        {"stdout": "2", "tolerance": 1e-3},
        {"call": "f", "args": [1, [2]], "expected": None},
        {"call": "Solution.f", "kwargs": {"x": 1}, "expected": 1.5},
        {"assert": "assert f(r) == 1", "setup": "r = 2"},
        {"check": "def check(g):\n    assert g(1) == 2\n    assert g(2) == h", "entry_point": "f"},
    ]
    assert read_tests(rows) == (
        StdioTest("1", "2"),
        StdioTest("", "2", 1e-3),
        CallTest("f", (1, [2]), None),
        CallTest("Solution.f", (), 1.5, {"x": 1}),
        ValueTest("f(r)", 1, "==", "r = 2"),
        ValueTest("f(1)", 2),
        CheckTest("def check(g):\n    assert g(2) == h\n\ncheck(f)\n"),
    )
    assert parse_tests(json.dumps(rows)) == read_tests(rows)


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    ("row", "field", "fix"),
    [
        (3, "tests 1", "JSON object"),
        ({}, "tests 1", "write one of"),
        ({"stdin": "1"}, "tests 1", "write one of"),
        ({"stdin": 1, "stdout": "1"}, "tests 1, stdin", "string"),
        ({"stdin": "1", "stdout": 1}, "tests 1, stdout", "string"),
        ({"stdin": "1", "stdout": "\ud800"}, "tests 1, stdout", "surrogate"),
        ({"stdout": "1", "tolerance": True}, "tests 1, tolerance", "number"),
        ({"stdout": "1", "tolerance": 2}, "tests 1, tolerance", "number"),
        ({"stdout": "1", "expect": "1"}, "tests 1, expect", "drop it"),
        ({"call": "f", "args": [1]}, "tests 1, expected", "null counts"),
        ({"call": "f", "args": 1, "expected": 1}, "tests 1, args", "list"),
        ({"call": "f(1)", "expected": 1}, "tests 1, call", "name a function"),
        ({"call": "f", "kwargs": [1], "expected": 1}, "tests 1, kwargs", "object"),
        ({"call": "f", "kwargs": {"a b": 1}, "expected": 1}, "tests 1, kwargs", "object"),
        ({"call": "f", "expected": [float("nan")]}, "tests 1, expected", "NaN"),
        ({"call": "f", "expected": deep(200)}, "tests 1, expected", "nest"),
        ({"assert": "assert f(1) =="}, "tests 1, assert", "not Python"),
        ({"assert": "assert " + "(" * 5000}, "tests 1, assert", "not Python"),
        ({"check": "x = 1", "entry_point": "f"}, "tests 1, check", "check(candidate)"),
        ({"check": "def check(c):\n    pass", "entry_point": "f"}, "tests 1, check", "nothing"),
        ({"check": "def check(c):\n    pass"}, "tests 1, entry_point", "string"),
    ],
)
def test_a_bad_row_says_what_to_mend(row: object, field: str, fix: str) -> None:
    with pytest.raises(PonderError) as caught:
        read_tests([row])
    assert caught.value.field == field
    assert fix in str(caught.value)


def test_no_tests_at_all() -> None:
    with pytest.raises(PonderError, match="at least one test"):
        read_tests([])


MBPP = {
    "text": "Write a function.",
    "code": "def f(x):\r\n    return x",
    "task_id": 7,
    "test_setup_code": "r = 1",
    "test_imports": ["import math"],
    "test_list": ["assert set(f(r)) == {1}", "assert f(2) == 2"],
}


def test_a_row_of_mbpp() -> None:
    row = code_row(MBPP)
    assert row.id == "mbpp/7"
    assert row.answer == MBPP["code"]
    assert "set(f(r))" in row.question
    assert "f(2)" not in row.question  # hidden
    setup = "import math\nr = 1"
    assert row.metadata == {
        "tests": [{"assert": text, "setup": setup} for text in MBPP["test_list"]],
        "entry_point": "f",
    }
    plain = {"prompt": "P", "test": ["assert f(2) == 2"], "code": "c", "task_id": 1}
    assert code_metadata(plain)["tests"] == [{"assert": "assert f(2) == 2"}]


def test_a_row_of_human_eval() -> None:
    row = code_row(
        {
            "task_id": "HumanEval/0",
            "prompt": "def f(x):\n",
            "canonical_solution": "    return x\n",
            "test": "def check(candidate):\n    assert candidate(1) == 1",
            "entry_point": "f",
        }
    )
    assert row.answer == "def f(x):\n    return x\n"
    assert "assert" not in row.question
    assert json.loads(json.dumps(row.metadata)) == row.metadata
    assert read_tests(row.metadata["tests"]) == (ValueTest("f(1)", 1),)


@pytest.mark.parametrize("row", [{"question": "?"}, {**MBPP, "test_list": []}, {**MBPP, "text": 1}])
def test_a_row_of_another_shape(row: dict[str, Any]) -> None:
    with pytest.raises(PonderError):
        code_row(row)
