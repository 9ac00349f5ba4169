"""`ponder judge`: put one program to its tests, inside the sandbox."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ponder.cli.console import console, shown
from ponder.errors import PonderError
from ponder.sandbox.sandbox import Sandbox
from ponder.verify.code.judge import JudgeResult, judge
from ponder.verify.code.kinds import CodeTest
from ponder.verify.code.reader import read_test
from ponder.verify.code.verifier import limits_of


def run(arguments: Namespace) -> int:
    """Judge and print; 0 whatever the verdict is."""
    program = _read(arguments.program, "--program")
    tests = read_test_file(arguments.tests)
    limits = limits_of({"time_seconds": arguments.time_seconds, "memory_mb": arguments.memory_mb})
    with Sandbox(unsafe=arguments.unsafe) as sandbox:
        result = judge(
            program, tests, limits, sandbox, arguments.language, num_threads=_num_cores()
        )
    out = console()
    if arguments.json:
        out.out(json.dumps(as_json(result, not arguments.unsafe)), highlight=False)
    else:
        out.print(_table(result, not arguments.unsafe))
    return 0


def read_test_file(path: Path) -> tuple[CodeTest, ...]:
    """One test a line of JSON. Raises PonderError naming the line, the field and the fix."""
    tests: list[CodeTest] = []
    for number, line in enumerate(_read(path, "--tests").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PonderError(where, line, f"write one JSON object a line ({error})") from error
        tests.extend(read_test(row, where))
    if not tests:
        raise PonderError("--tests", str(path), "give at least one test, one JSON object a line")
    return tuple(tests)


def as_json(result: JudgeResult, is_isolated: bool) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "verdict": result.verdict.value,
        "passed": result.passed,
        "total": result.total,
        "isolated": is_isolated,
        "weak": result.num_weak,
        "tests": [
            {"status": case.status, "seconds": round(case.seconds, 4)} for case in result.cases
        ],
    }


def _read(path: Path, option: str) -> str:
    """A file's text; what is not UTF-8 in it is kept, for the judge to refuse."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        fix = f"it cannot be read ({error.strerror}); give a file"
        raise PonderError(option, str(path), fix) from error


def _num_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _table(result: JudgeResult, is_isolated: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("test", justify="right")
    table.add_column("status")
    table.add_column("seconds", justify="right")
    table.add_column("", overflow="fold")
    for number, case in enumerate(result.cases, 1):
        style = "green" if case.status == "passed" else "red"
        status, detail = Text(case.status, style=style), Text(shown(case.detail), style="dim")
        table.add_row(str(number), status, f"{case.seconds:.3f}", detail)
    counts = f"{result.passed} of {result.total} passed"
    notes = "" if is_isolated else "NOT ISOLATED (--unsafe)"
    if result.num_weak:
        notes = f"{notes} weak: {result.num_weak} ran beside the program".strip()
    table.add_row("", Text(result.verdict.value, style="bold"), "", Text(f"{counts} {notes}"))
    return table
