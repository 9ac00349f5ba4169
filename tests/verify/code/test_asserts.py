"""Asserts taken apart: nothing of what is expected may be left in the child's expression."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.verify.code.asserts import split_assert, split_check
from ponder.verify.code.kinds import CheckTest, CodeTest, ValueTest
from ponder.verify.code.reader import read_tests
from ponder.verify.code.rows import code_row

DATA = Path(__file__).resolve().parents[3] / "../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")


@pytest.mark.parametrize(
    ("text", "expression", "relation", "expected"),
    [
        ("assert f(1, 2) == 3", "f(1, 2)", "==", 3),
        ("assert f(1) == [1, (2, 'x')], 'words'", "f(1)", "==", [1, (2, "x")]),
        ("assert 3 == f(1)", "f(1)", "==", 3),
        ("assert 3 < f(1)", "f(1)", ">", 3),
        ("assert f(1) != -1", "f(1)", "!=", -1),
        ("assert f(1)", "bool(f(1))", "is", True),
        ("assert not f(1)", "bool(f(1))", "is", False),
        ("assert (f(1) == 5) == True", "f(1)", "==", 5),
        ("assert (f(1) == 5) is False", "f(1)", "!=", 5),
        ("assert not f(1) == 5", "f(1)", "!=", 5),
        ("assert f(1) is None", "f(1)", "is", None),
        ("assert f(1) is not None", "f(1)", "is not", None),
        ("assert f(1) in [1, 2]", "f(1)", "in", [1, 2]),
        ("assert set(f(1)) == {1, 2}", "set(f(1))", "==", {1, 2}),
        ("assert tuple(f([1])) == tuple([1, 2])", "tuple(f([1]))", "==", (1, 2)),
        ("assert sorted(list(f(1))) == [1]", "sorted(list(f(1)))", "==", [1]),
        ("assert round(f(1), 2) == 0.33", "round(f(1), 2)", "==", 0.33),
        ("assert f(1)[0] == 7", "f(1)[0]", "==", 7),
        ("assert f('a').strip() == 'b'", "f('a').strip()", "==", "b"),
        ("assert sum(10, 15) == 6", "sum(10, 15)", "==", 6),
        ("assert int(f(5, 3)) == 35", "int(f(5, 3))", "==", 35),
        ("assert Solution().two(2) == 4", "Solution().two(2)", "==", 4),
        ("assert f([Pair(1, 2)]) == 3", "f([Pair(1, 2)])", "==", 3),
        ("assert f(1.0 / 3) == 2.0 / 4", "f(1.0 / 3)", "==", 0.5),
        ("assert abs(f(1.33) - 0.5) < 1e-6", "f(1.33)", "close", 0.5),
        ("assert abs(0.5 - f(1.33)) <= 1e-6", "f(1.33)", "close", 0.5),
        ("assert math.isclose(f(2), 0.5, rel_tol=1e-3)", "f(2)", "close", 0.5),
        ("assert f(1) == float('inf')", "f(1)", "==", float("inf")),
        ("assert f() == [0] * 3 + [1]", "f()", "==", [0, 0, 0, 1]),
    ],
)
def test_what_the_child_sees(text: str, expression: str, relation: str, expected: Any) -> None:
    test = split_assert(text)
    assert isinstance(test, ValueTest)
    assert (test.expression, test.relation) == (expression, relation)
    assert test.expected == expected
    assert type(test.expected) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "assert f(1) == g(1)",  # computed
        "assert f(1) == expected",
        "assert isinstance(f(1), int)",
        "assert np.allclose(f(1), [0.25])",
        "assert close(f(1), 0.25)",
        "assert all(x in f(1) for x in [7, 8])",
        "assert f(f('x')) == 'x'",
        "assert f(1) == 1 and f(2) == 2",
        "assert 1 < f(1) < 3",
        "assert f(1) - 5 == 0",  # the 5 would be in the expression
        "assert max(f(1), 3) == 3",
        "assert f(1).startswith('secret')",
        "assert bool(f(1) == 5)",
        "assert x == 5",
        "assert f(1) == 10 ** 10 ** 10",
        "assert f(1) == [0] * 10 ** 9",
        "assert f(1) == '%99999999s' % ''",
        "x = f(1)\nassert x == 5",
        "for i in range(3):\n    assert f(i) == i",
    ],
)
def test_what_cannot_be_split_runs_as_it_stands(text: str) -> None:
    test = split_assert(text, "a = 1")
    assert test == CheckTest(f"a = 1\n{text}\n")


SECRET = st.one_of(
    st.integers(10**6, 10**9), st.lists(st.integers(10**6, 10**9), min_size=1), st.floats(2, 1e9)
)


@given(SECRET, st.sampled_from(["f(1)", "set(f(1))", "abs(f(1))", "f(1)[0]", "f(1).x()"]))
def test_the_expected_value_is_nowhere_in_the_expression(secret: Any, call: str) -> None:
    for text in (
        f"{call} == {secret}",
        f"{secret} == {call}",
        f"not {call} != {secret}",
        f"({call} == {secret}) is True",
        f"abs({call} - {secret}) < 1",
        f"math.isclose({secret}, {call})",
        f"g({call}, {secret})",
        f"{call} in [{secret}]",
    ):
        test = split_assert(f"assert {text}")
        if isinstance(test, ValueTest):
            assert str(secret).strip("[]") not in test.expression, text


CHECK = """
METADATA = {}

def check(candidate):
    '''words'''
    assert candidate(1) == 2
    assert True, "words"
    print
    assert abs(candidate(2) - 0.5) < 1e-6
    for n in range(3):
        assert candidate(n) == n + 1
    assert [candidate(x) for x in (1, 2)] == [2, 3]
"""


def test_a_check_falls_apart_into_its_asserts_and_the_rest() -> None:
    *values, rest = split_check(CHECK, "grow")
    assert [test.expression for test in values if isinstance(test, ValueTest)] == [
        "grow(1)",
        "grow(2)",
    ]
    assert isinstance(rest, CheckTest)
    assert rest.source.rstrip().endswith("check(grow)")
    assert "range(3)" in rest.source
    assert "candidate(1)" not in rest.source


@pytest.mark.parametrize("source", ["x = 1", "def check(): pass", "def check(candidate)"])
def test_a_check_that_is_none(source: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        split_check(source, "f")


def all_tests(rows: list[dict[str, Any]]) -> list[CodeTest]:
    return [test for row in rows for test in read_tests(code_row(row).metadata["tests"])]


def num_weak(tests: list[CodeTest]) -> int:
    return sum(isinstance(test, CheckTest) for test in tests)


@needs_data
def test_nearly_every_test_of_mbpp_and_human_eval_is_compared_outside() -> None:
    with (DATA / "mbpp/mbpp.jsonl").open() as file:
        mbpp = all_tests([json.loads(line) for line in file])
    with gzip.open(DATA / "humaneval/HumanEval.jsonl.gz") as packed:
        human_eval = all_tests([json.loads(line) for line in packed])
    assert (len(mbpp), num_weak(mbpp)) == (2922, 3)
    assert (len(human_eval), num_weak(human_eval)) == (1131, 7)
