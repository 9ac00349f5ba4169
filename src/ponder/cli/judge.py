"""`ponder judge`: put one program to its tests, inside the sandbox."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ponder.cli.console import console, shown
from ponder.errors import PonderError
from ponder.sandbox.sandbox import Sandbox, usable_cpus
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
            program, tests, limits, sandbox, arguments.language, num_threads=usable_cpus()
        )
    out = console()
    if arguments.json:
        found = as_json(result, sandbox.is_isolated, arguments.unsafe)
        out.out(json.dumps(found), highlight=False)
    else:
        out.print(table(result, sandbox.is_isolated, arguments.unsafe))
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


def as_json(result: JudgeResult, is_isolated: bool, is_unsafe: bool) -> dict[str, Any]:
    """What ``--json`` prints; ``is_unsafe`` is what was asked, ``is_isolated`` what was done."""
    return {
        "verdict": result.verdict.value,
        "passed": result.passed,
        "total": result.total,
        "isolated": is_isolated,
        "unsafe": is_unsafe,
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


def table(result: JudgeResult, is_isolated: bool, is_unsafe: bool) -> Table:
    """The same for people: a row a test, and a row for them all."""
    rows = Table(box=None, pad_edge=False)
    rows.add_column("test", justify="right")
    rows.add_column("status")
    rows.add_column("seconds", justify="right")
    rows.add_column("", overflow="fold")
    for number, case in enumerate(result.cases, 1):
        style = "green" if case.status == "passed" else "red"
        status, detail = Text(case.status, style=style), Text(shown(case.detail), style="dim")
        rows.add_row(str(number), status, f"{case.seconds:.3f}", detail)
    words = [f"{result.passed} of {result.total} passed"]
    if result.num_weak:
        words.append(f"weak: {result.num_weak} ran beside the program")
    if is_unsafe:
        words.append("isolated, --unsafe was not needed" if is_isolated else "NOT ISOLATED")
    rows.add_row("", Text(result.verdict.value, style="bold"), "", Text("; ".join(words)))
    return rows
