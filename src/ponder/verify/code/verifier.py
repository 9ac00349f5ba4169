"""The verifier of problems whose answer is a program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ponder.errors import PonderError
from ponder.sandbox.jobs import Limits, SandboxLost
from ponder.sandbox.sandbox import Sandbox, default_sandbox
from ponder.types import Judgement, Problem, Verdict
from ponder.verify.code.judge import JudgeResult, judge
from ponder.verify.code.program import whole_program
from ponder.verify.code.reader import parse_tests

MAX_SLOW_FAILURES = 3
"""Tests of one completion that may run out of time or memory before the rest is given up."""

_MAX_SECONDS, _MAX_MEMORY_MB = 600.0, 1 << 16


def verify_code(problem: Problem, completion_text: str) -> Judgement:
    """Correct only if every test passes; ``score`` is the share that does. Never raises.

    ``problem.metadata`` holds ``tests`` (rows as ``read_tests`` has them) and, where needed,
    ``entry_point``, ``prompt_code``, ``prefix_code`` (see ``whole_program``),
    ``language``, ``time_seconds``, ``memory_mb``, and ``binary`` (stop at the first failure; then
    there is no score). The reason says "weak" where a test had to run beside the program.
    """
    return verify_in(problem, completion_text, None)


def verify_in(problem: Problem, completion_text: str, sandbox: Sandbox | None) -> Judgement:
    """As ``verify_code``, in a sandbox of the caller's (None: the process-wide one)."""
    program: str | None = None
    where = problem.metadata
    try:
        program = whole_program(problem, completion_text)
        if program is None:
            return Judgement(Verdict.UNPARSABLE, None, "no program")
        result = judge(
            program,
            parse_tests(json.dumps(where.get("tests"))),
            limits_of(where),
            sandbox or default_sandbox(),
            where.get("language", "python"),
            stops_early=bool(where.get("binary", False)),
            max_slow_failures=MAX_SLOW_FAILURES,
        )
    except (PonderError, SandboxLost, AttributeError, TypeError, ValueError) as error:
        # Of the problem or the sandbox: nothing that a program does raises here.
        return Judgement(Verdict.ERROR, program, f"{type(error).__name__}: {error}")
    score = None if where.get("binary", False) else result.score
    return Judgement(result.verdict, program, _reason(result), score)


def limits_of(metadata: Mapping[str, Any]) -> Limits:
    """The limits of a problem's runs. Raises PonderError for a number that is none."""
    limits = Limits()
    seconds = metadata.get("time_seconds", limits.wall_seconds)
    memory = metadata.get("memory_mb", limits.memory_mb)
    if not isinstance(seconds, int | float) or not 0 < seconds <= _MAX_SECONDS:
        raise PonderError("time_seconds", seconds, f"give seconds, up to {_MAX_SECONDS:g}")
    if not isinstance(memory, int) or not 0 < memory <= _MAX_MEMORY_MB:
        raise PonderError("memory_mb", memory, f"give whole MiB, up to {_MAX_MEMORY_MB}")
    return Limits(wall_seconds=float(seconds), memory_mb=memory)


def _reason(result: JudgeResult) -> str:
    words = [f"{result.passed} of {result.total} tests passed"]
    failure = next((n for n, case in enumerate(result.cases, 1) if case.status != "passed"), None)
    if failure is not None:
        words.append(f"test {failure}: {result.cases[failure - 1].status}")
    if result.num_weak:
        words.append(f"weak: {result.num_weak} ran beside the program")
    return "; ".join(words)
