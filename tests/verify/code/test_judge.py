"""Programs put to tests: the statuses, the verdict, and that no job holds what is expected."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from typing import Any

import pytest

from ponder.errors import PonderError
from ponder.sandbox.jobs import CheckJob, Limits
from ponder.sandbox.sandbox import Sandbox
from ponder.types import Problem, Verdict
from ponder.verify.code.judge import JudgeResult, job_of, judge
from ponder.verify.code.kinds import CallTest, StdioTest, ValueTest
from ponder.verify.code.reader import read_tests
from ponder.verify.code.verifier import limits_of, verify_in

LIMITS = Limits(wall_seconds=0.5)


def run(sandbox: Sandbox, program: str, *rows: dict[str, Any], **options: Any) -> JudgeResult:
    return judge(program, read_tests(rows), LIMITS, sandbox, **options)


def statuses(result: JudgeResult) -> list[str]:
    return [case.status for case in result.cases]


@pytest.mark.parametrize(
    ("program", "row"),
    [
        ("print(sum(map(int, input().split())))", {"stdin": "1 2\n", "stdout": "3"}),
        ("print(1 / 3)", {"stdout": "0.3333", "tolerance": 1e-3}),
        ("def f(a, b): return a + b", {"call": "f", "args": [1, 2], "expected": 3}),
        ("def f(a, *, b): return a + b", {"call": "f", "kwargs": {"a": 1, "b": 2}, "expected": 3}),
        ("def f(a, *, b): return (a, b)",
         {"call": "f", "args": [1], "kwargs": {"b": 2}, "expected": [1, 2]}),
        ("class A:\n    def f(self, x): return {x: None}",
         {"call": "A.f", "args": [1], "expected": {"1": None}}),
        ("class A:\n    def f(self, x, y): return [x, y]",
         {"call": "A.f", "args": [1], "kwargs": {"y": 2}, "expected": [1, 2]}),
        ("class Solution:\n    def f(self, x): return x",
         {"call": "f", "args": ["é"], "expected": "é"}),
        ("class Solution:\n    def f(self, x, y): return x * y",
         {"call": "f", "args": [2], "kwargs": {"y": 3}, "expected": 6}),
        ("def f(x): return (x, {1})", {"assert": "assert f((1, 2)) == ((1, 2), {1})"}),
        ("def f(x): return x", {"assert": "assert f(y) == 4", "setup": "y = 4"}),
        ("def f(x): yield x", {"assert": "assert list(f(2)) == [2]"}),
        ("def sum(a, b): return a * b", {"assert": "assert sum(2, 5) == 10"}),
        ("def f(x): return x / 3", {"assert": "assert abs(f(1) - 0.333333) < 1e-4"}),
        ("def f(x): return x + x", {"assert": "assert f(2) == f(1) * 2"}),  # weak
        ("def f(x): return x",
         {"check": "def check(c):\n    for n in range(9):\n        assert c(n) == n",
          "entry_point": "f"}),
    ],
)  # fmt: skip
def test_right_programs_pass_and_empty_ones_do_not(
    sandbox: Sandbox, program: str, row: dict[str, Any]
) -> None:
    result = run(sandbox, program, row)
    assert statuses(result) == ["passed"], result
    assert (result.verdict, result.passed, result.total) == (Verdict.CORRECT, 1, 1)
    assert run(sandbox, "pass", row).verdict is Verdict.INCORRECT


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("print(4)", "wrong"),
        ("print(3)", "passed"),
        ("while True: pass", "timeout"),
        ("a = [0]\nwhile True: a += a", "memory"),
        ("while True: print(3)", "output"),
        ("raise ValueError", "crashed"),
        ("print(3)\nraise SystemExit(3)", "crashed"),
        ("def", "crashed"),
        ("print('\ud800')", "crashed"),
    ],
)
def test_statuses(sandbox: Sandbox, program: str, status: str) -> None:
    assert statuses(run(sandbox, program, {"stdout": "3"})) == [status]


def test_a_failed_check_is_wrong_and_a_broken_program_crashed(sandbox: Sandbox) -> None:
    row = {"assert": "assert f(1) == f(2) + 5"}
    assert statuses(run(sandbox, "def f(x): return x", row)) == ["wrong"]
    assert statuses(run(sandbox, "def f(x): return y", row)) == ["crashed"]


def test_a_main_guard_is_run_with_stdin_alone(sandbox: Sandbox) -> None:
    program = "def f(x): return x\nif __name__ == '__main__':\n    print(f(input()))"
    rows = [
        {"stdin": "7", "stdout": "7"},
        {"call": "f", "args": [7], "expected": 7},
        {"assert": "assert f(7) == 7"},
        {"assert": "assert f(7) == f(6) + 1"},
    ]
    assert statuses(run(sandbox, program, *rows)) == ["passed"] * 4


ECHO = "n = int(input())\nif n == 7:\n    while True: pass\nprint(n if n % 3 else 0)"
ROWS = [{"stdin": str(n), "stdout": str(n)} for n in (1, 2, 3, 4, 5, 6)]


@pytest.mark.parametrize("num_threads", [1, 4])
def test_the_share_of_tests(sandbox: Sandbox, num_threads: int) -> None:
    result = run(sandbox, ECHO, *ROWS, num_threads=num_threads)
    assert statuses(result) == ["passed", "passed", "wrong", "passed", "passed", "wrong"]
    assert (result.passed, result.total, result.verdict) == (4, 6, Verdict.INCORRECT)
    assert result.score == pytest.approx(4 / 6)


@pytest.mark.parametrize("num_threads", [1, 4])
def test_a_binary_verdict_ends_at_the_first_failure(sandbox: Sandbox, num_threads: int) -> None:
    result = run(sandbox, ECHO, *ROWS, num_threads=num_threads, stops_early=True)
    assert statuses(result) == ["passed", "passed", "wrong"]
    assert (result.passed, result.total, result.verdict) == (2, 6, Verdict.INCORRECT)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_slow_failures_are_given_up(sandbox: Sandbox, num_threads: int) -> None:
    slow = {"stdin": "7", "stdout": "7"}
    rows = [slow, ROWS[0], slow, *ROWS]
    options = {"num_threads": num_threads, "max_slow_failures": 2}
    result = run(sandbox, ECHO, *rows, **options)
    assert statuses(result) == ["timeout", "passed", "timeout"]
    assert (result.passed, result.total) == (1, 9)


SECRET = "913-kestrel"


@pytest.mark.parametrize(
    "row",
    [
        {"stdin": "7", "stdout": SECRET},
        {"call": "f", "args": [7], "expected": SECRET},
        {"call": "f", "args": [7], "kwargs": {"y": 1}, "expected": [SECRET]},
        {"assert": f"assert f(7) == {SECRET!r}"},
        {"assert": f"assert {SECRET!r} in [f(7)] or f(7) == {SECRET!r}"},  # weak
        {"check": f"def check(c):\n    assert c(7) == {SECRET!r}", "entry_point": "f"},
    ],
)
def test_what_is_expected_is_in_no_job(row: dict[str, Any]) -> None:
    (test,) = read_tests([row])
    job = job_of("def f(x): return x", test)
    if not isinstance(job, CheckJob):
        assert SECRET not in repr(dataclasses.asdict(job))
    assert isinstance(job, CheckJob) == (not isinstance(test, StdioTest | CallTest | ValueTest))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_cpp(sandbox: Sandbox) -> None:
    program = (
        "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }"
    )
    rows = [{"stdin": "1 2", "stdout": "3"}, {"stdin": "1 2", "stdout": "4"}]
    tests = read_tests(rows)
    assert statuses(judge(program, tests, LIMITS, sandbox, "cpp")) == ["passed", "wrong"]
    assert statuses(judge("int main(", tests, LIMITS, sandbox, "cpp")) == ["crashed"] * 2
    with pytest.raises(PonderError, match="stdin and stdout"):
        judge(program, read_tests([{"call": "f", "expected": 1}]), LIMITS, sandbox, "cpp")


# verify_code


def problem(tests: Sequence[Any] = ROWS, **metadata: Any) -> Problem:
    return Problem("1", "q", "print(input())", "code", {"tests": list(tests), **metadata})


def test_a_completion_is_judged(sandbox: Sandbox) -> None:
    right = verify_in(problem(), "<answer>\n```python\nprint(input())\n```\n</answer>", sandbox)
    assert (right.verdict, right.score) == (Verdict.CORRECT, 1.0)
    assert right.answer == "print(input())"
    assert right.reason == "6 of 6 tests passed"
    partly = verify_in(problem(), f"```python\n{ECHO}\n```", sandbox)
    assert (partly.verdict, partly.score) == (Verdict.INCORRECT, pytest.approx(4 / 6))
    assert partly.reason == "4 of 6 tests passed; test 3: wrong"
    binary = verify_in(problem(binary=True), f"```python\n{ECHO}\n```", sandbox)
    assert (binary.verdict, binary.score) == (Verdict.INCORRECT, None)
    none = verify_in(problem(), "I do not know.", sandbox)
    assert (none.verdict, none.answer, none.score) == (Verdict.UNPARSABLE, None, None)


def test_the_reference_answer_verifies(sandbox: Sandbox) -> None:
    text = f"<think> reference </think> <answer> {problem().answer} </answer>"
    assert verify_in(problem(), text, sandbox).verdict is Verdict.CORRECT


def test_a_weak_test_is_named(sandbox: Sandbox) -> None:
    rows = [{"assert": "assert f(2) == f(1) * 2"}, {"assert": "assert f(1) == 1"}]
    judgement = verify_in(problem(rows), "```\ndef f(x): return x\n```", sandbox)
    assert judgement.verdict is Verdict.CORRECT
    assert judgement.reason == "2 of 2 tests passed; weak: 1 ran beside the program"


@pytest.mark.parametrize(
    "metadata",
    [
        {"tests": []},
        {"tests": None},
        {"tests": [{"stdout": 1}]},
        {"tests": {"a": 1}},
        {"tests": [object()]},
        {"tests": ROWS, "language": "cobol"},
        {"tests": ROWS, "time_seconds": "long"},
        {"tests": ROWS, "memory_mb": 0},
        {"tests": ROWS, "prompt_code": 3},
    ],
)
def test_a_bad_problem_is_our_error(sandbox: Sandbox, metadata: dict[str, Any]) -> None:
    bad = Problem("1", "q", "", "code", metadata)
    judgement = verify_in(bad, "<answer>print(1)</answer>", sandbox)
    assert judgement.verdict is Verdict.ERROR
    assert judgement.reason


def test_a_sandbox_that_cannot_run_is_our_error() -> None:
    closed = Sandbox()
    closed.close()
    judgement = verify_in(problem(), "```\nprint(input())\n```", closed)
    assert judgement.verdict is Verdict.ERROR
    assert judgement.score is None


def test_odd_programs_never_raise(sandbox: Sandbox) -> None:
    for text in ("\ud800", "\0", "print('" + "x" * 10**6, "(" * 10**5, "\r", "\x0c", "# coding: z"):
        judgement = verify_in(problem(), f"<answer>{text}.</answer>", sandbox)
        assert judgement.verdict is Verdict.INCORRECT, text[:10]


def test_limits_come_with_the_problem() -> None:
    assert limits_of({"time_seconds": 3, "memory_mb": 64}) == Limits(3.0, 64)
    assert limits_of({}) == Limits()
