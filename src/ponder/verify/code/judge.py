"""A program put to its tests: run inside the sandbox, compared outside."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from ponder.errors import PonderError
from ponder.sandbox.jobs import CallJob, CheckJob, CppJob, Job, Limits, Outcome, ScriptJob
from ponder.sandbox.sandbox import Sandbox
from ponder.sandbox.values import decode, encode
from ponder.types import Verdict
from ponder.verify.code.compare import holds, same_json, same_output
from ponder.verify.code.kinds import CallTest, CheckTest, CodeTest, StdioTest, ValueTest

TestStatus = Literal["passed", "wrong", "timeout", "memory", "output", "crashed", "refused"]
_SLOW = frozenset({"timeout", "memory"})


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one test went; ``seconds`` is the program's wall time."""

    status: TestStatus
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """What the tests say of a program.

    Attributes:
        verdict: correct if every test passed, else incorrect.
        passed, total: counts of tests; a test that was not run is not passed.
        cases: one result a test, in order, up to the last that was run.
        num_weak: tests that had to run beside the program, see ``CheckTest``.
    """

    verdict: Verdict
    passed: int
    total: int
    cases: tuple[CaseResult, ...]
    num_weak: int = 0

    @property
    def score(self) -> float:
        """The share of tests passed, in [0, 1]."""
        return self.passed / self.total

    @property
    def seconds(self) -> float:
        """Wall time of all runs together."""
        return sum(case.seconds for case in self.cases)


def judge(
    program: str,
    tests: Sequence[CodeTest],
    limits: Limits,
    sandbox: Sandbox,
    language: str = "python",
    *,
    stops_early: bool = False,
    max_slow_failures: int | None = None,
    num_threads: int = 1,
) -> JudgeResult:
    """Run a program against its tests.

    Args:
        language: "python", or "cpp", whose programs take ``StdioTest`` alone.
        stops_early: end at the first failure, for a binary verdict.
        max_slow_failures: end when so many tests ran out of time or memory; the rest then counts
            as failed. None runs them all.
        num_threads: tests that run at once. The result does not depend on it.

    Raises:
        PonderError: no tests, a test that the language cannot have, or no isolation here.
        SandboxLost: the sandbox itself failed.
    """
    if not tests:
        raise PonderError("tests", [], "give at least one test")
    jobs = [job_of(program, test, language) for test in tests]
    if not _is_text(program):
        no_text = CaseResult("crashed", 0.0, "the program is not valid Unicode")
        return _result([no_text] * len(tests), tests)
    rule = _Stop(1 if stops_early else None, max_slow_failures)

    def run(number: int) -> CaseResult | None:
        if rule.is_reached:
            return None
        outcome = sandbox.run(jobs[number], limits)
        status = status_of(tests[number], outcome)
        rule.count(status)
        return CaseResult(status, outcome.seconds, outcome.detail)

    if num_threads > 1 and len(tests) > 1:
        with ThreadPoolExecutor(min(num_threads, len(tests))) as threads:
            cases = list(threads.map(run, range(len(tests))))
    else:
        cases = [run(number) for number in range(len(tests))]
    return _result(rule.cut(cases), tests)


def job_of(program: str, test: CodeTest, language: str = "python") -> Job:
    """What the sandbox runs for a test. Nothing that the test expects is in it, but for CheckTest.

    Raises PonderError where the language has no such tests.
    """
    if language == "cpp" and isinstance(test, StdioTest):
        return CppJob(program, test.stdin.encode())
    if language != "python":
        fix = "C++ programs take tests with stdin and stdout" if language == "cpp" else "use python"
        raise PonderError("language", language, fix)
    match test:
        case StdioTest():
            return ScriptJob(program, test.stdin.encode())
        case CallTest():
            return _call_job(program, test)
        case ValueTest():
            # Evaluated after the program, in its own module; reading it there tells it nothing.
            value = f"def _ponder_value():\n    return {test.expression}\n"
            return CallJob(f"{program}\n{test.setup}\n{value}", "_ponder_value", "[]")
        case CheckTest():
            return CheckJob(program, test.source)


def _call_job(program: str, test: CallTest) -> CallJob:
    if not test.kwargs:
        return CallJob(program, test.call, encode(list(test.args)))
    if not test.args:
        return CallJob(program, test.call, encode(test.kwargs))
    owner, _, name = test.call.rpartition(".")
    found = (
        f"{owner}().{name}" if owner else f"{name} if {name!r} in globals() else Solution().{name}"
    )
    call = f"def _ponder_call(args, named):\n    return ({found})(*args, **named)\n"
    arguments = encode([list(test.args), test.kwargs])
    return CallJob(f"{program}\n{call}", "_ponder_call", arguments)


def status_of(test: CodeTest, outcome: Outcome) -> TestStatus:
    """The status of a test whose program ended so."""
    if outcome.status != "finished":
        is_assert = isinstance(test, CheckTest) and b"AssertionError" in outcome.stderr[-2000:]
        return "wrong" if outcome.status == "crashed" and is_assert else outcome.status
    return "passed" if _passes(test, outcome) else "wrong"


def _passes(test: CodeTest, outcome: Outcome) -> bool:
    if isinstance(test, StdioTest):
        return same_output(test, outcome.stdout)
    if isinstance(test, CheckTest):
        return outcome.passed
    if outcome.result is None:
        return False
    try:
        value = decode(outcome.result)
    except ValueError:  # the program wrote something else there
        return False
    return same_json(test.expected, value) if isinstance(test, CallTest) else holds(test, value)


class _Stop:
    """When to stop: after so many failures, or so many slow ones. Counted from many threads."""

    def __init__(self, failures: int | None, slow: int | None) -> None:
        self.limits = (failures, slow)
        self.counts = [0, 0]
        self.lock = threading.Lock()

    @property
    def is_reached(self) -> bool:
        pairs = zip(self.counts, self.limits, strict=True)
        return any(limit is not None and count >= limit for count, limit in pairs)

    def count(self, status: TestStatus) -> None:
        with self.lock:
            self.counts[0] += status != "passed"
            self.counts[1] += status in _SLOW

    def cut(self, cases: Sequence[CaseResult | None]) -> list[CaseResult]:
        """The results up to the one that reached a limit, counted in the order of the tests.

        Tests are started in that order, so all before it have run, whatever ran beside them.
        """
        again = _Stop(*self.limits)
        kept: list[CaseResult] = []
        for case in cases:
            if case is None or again.is_reached:
                break
            again.count(case.status)
            kept.append(case)
        return kept


def _result(cases: Sequence[CaseResult], tests: Sequence[CodeTest]) -> JudgeResult:
    passed = sum(case.status == "passed" for case in cases)
    verdict = Verdict.CORRECT if passed == len(tests) else Verdict.INCORRECT
    num_weak = sum(isinstance(test, CheckTest) for test in tests)
    return JudgeResult(verdict, passed, len(tests), tuple(cases), num_weak)


def _is_text(program: str) -> bool:
    try:
        program.encode()
    except UnicodeEncodeError:
        return False
    return True
