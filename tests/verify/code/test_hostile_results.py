"""A program may write anything where its result is read: it is never more than wrong, and soon."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ponder.sandbox.jobs import Outcome
from ponder.verify.code.judge import status_of
from ponder.verify.code.kinds import CallTest, ValueTest

PRIME = 2**61 - 1  # hash(n * PRIME) is 0 for every n
MANY = ", ".join(str(n * PRIME) for n in range(45_000))
RESULTS = [
    b"",
    b"{",
    b"\xff\xfe",
    b'"\\ud800"',
    b"NaN",
    b"[" * 1_000_000,
    b'{"$tuple": ' * 100_000,
    b"1" * 1_000_000,
    b"1e999",
    b'{"$complex": [1' + b"0" * 400 + b", 0]}",
    b'{"$complex": 1}',
    b'{"$int": "0x' + b"f" * 900_000 + b'"}',
    b'{"$dict": [[{"$int": "0x' + b"f" * 900_000 + b'"}, 1]]}',
    b'{"$dict": [[[1], 2]]}',
    b'{"$set": [[1]]}',
    b'{"$bytes": "zz"}',
    b'{"$nothing": 1}',
    f'{{"$set": [{MANY}]}}'.encode(),
    f'{{"$frozenset": [{MANY}]}}'.encode(),
    ('{"$dict": [' + ", ".join(f"[{n * PRIME}, 0]" for n in range(40_000)) + "]}").encode(),
]
EXPECTED: list[Any] = [1, 1.5, 2j, "x", None, [1], (1,), {1}, {"a": 1}, {1: 1}, {}]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: repr(result[:20]))
def test_any_result_is_wrong_and_takes_no_time(result: bytes) -> None:
    outcome = Outcome("finished", result=result)
    start = time.perf_counter()
    for expected in EXPECTED if len(result) < 100_000 else EXPECTED[-3:]:
        assert status_of(CallTest("f", (), expected), outcome) == "wrong"
        for relation in ("==", "is", "in", "<", "close") if len(result) < 100_000 else ("==",):
            test = ValueTest("f()", expected, relation)  # type: ignore[arg-type]
            assert status_of(test, outcome) == "wrong"
    assert time.perf_counter() - start < 10  # 16 s for one reading where hashes collide freely


def test_plain_sets_and_dicts_still_pass() -> None:
    text = ", ".join(map(str, range(50_000)))
    outcome = Outcome("finished", result=f'{{"$set": [{text}]}}'.encode())
    assert status_of(ValueTest("f()", set(range(50_000))), outcome) == "passed"
