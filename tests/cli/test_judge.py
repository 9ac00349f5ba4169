"""`ponder judge`: what it prints, and how mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.cli.console import console
from ponder.cli.judge import as_json, table
from ponder.cli.main import main
from ponder.errors import PonderError
from ponder.sandbox.jobs import ScriptJob
from ponder.sandbox.sandbox import Sandbox
from ponder.types import Verdict
from ponder.verify.code.judge import CaseResult, JudgeResult

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def _needs_isolation() -> None:
    with Sandbox() as sandbox:
        try:
            sandbox.run(ScriptJob("print(42)"))
        except PonderError as error:
            pytest.skip(f"no isolation here: {error}")


def files(tmp_path: Path, program: str | bytes, *tests: object) -> list[str]:
    path, tests_path = tmp_path / "p.py", tmp_path / "tests.jsonl"
    path.write_bytes(program.encode() if isinstance(program, str) else program)
    lines = [test if isinstance(test, str) else json.dumps(test) for test in tests]
    tests_path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return ["judge", "--program", str(path), "--tests", str(tests_path)]


PROGRAM = """
def double(n):
    while n == 3: pass
    if n == 4: print("x" * 10**7)
    if n == 5: return [0] * 10**9
    if n == 6: raise ValueError
    return n * 2

if __name__ == "__main__":
    print(double(int(input())))
"""
TESTS = (
    {"stdin": "1\n", "stdout": "2\n"},
    {"stdin": "1\n", "stdout": "3\n"},
    {"call": "double", "args": [2], "expected": 4},
    {"call": "double", "args": [3], "expected": 6},
    {"stdin": "4\n", "stdout": "8"},
    {"call": "double", "args": [5], "expected": 10},
    {"call": "double", "args": [6], "expected": 12},
    {"assert": "assert double(8) == 16"},
)
STATUSES = ["passed", "wrong", "passed", "timeout", "output", "memory", "crashed", "passed"]


def test_json(tmp_path: Path, capsys: Capture) -> None:
    arguments = [*files(tmp_path, PROGRAM, *TESTS), "--time-seconds", "0.5", "--json"]
    assert main(arguments) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (printed["verdict"], printed["passed"], printed["total"]) == ("incorrect", 3, 8)
    assert printed["isolated"] is True
    assert [test["status"] for test in printed["tests"]] == STATUSES
    assert 0.4 < printed["tests"][3]["seconds"] < 1.5


def test_a_table_for_people(tmp_path: Path, capsys: Capture) -> None:
    assert main(files(tmp_path, PROGRAM, TESTS[0], TESTS[1])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["test", "status", "seconds"]
    assert lines[1].split()[:2] == ["1", "passed"]
    assert lines[2].split()[:2] == ["2", "wrong"]
    assert lines[3].split() == ["incorrect", "1", "of", "2", "passed"]


def test_every_test_has_a_status_however_slow(tmp_path: Path, capsys: Capture) -> None:
    slow = {"call": "double", "args": [3], "expected": 6}
    arguments = [
        *files(tmp_path, PROGRAM, *[slow] * 5, TESTS[0]),
        "--time-seconds",
        "0.2",
        "--json",
    ]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [test["status"] for test in printed["tests"]] == ["timeout"] * 5 + ["passed"]


@pytest.mark.parametrize("program", [b"print('\xff')", b"\x00", b"", b"\xef\xbb\xbfprint(", b"\r"])
def test_any_bytes_are_judged(tmp_path: Path, capsys: Capture, program: bytes) -> None:
    assert main([*files(tmp_path, program, {"stdout": "1"}), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "incorrect"


def test_unsafe_is_said(tmp_path: Path, capsys: Capture) -> None:
    """Where the isolation is there, it is used all the same."""
    arguments = [*files(tmp_path, "print(1)", {"stdout": "1"}), "--unsafe"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"] == "correct"
    assert (printed["isolated"], printed["unsafe"]) == (True, True)
    assert main(arguments) == 0
    assert "--unsafe was not needed" in capsys.readouterr().out


def test_a_run_without_isolation_is_marked(capsys: Capture) -> None:
    result = JudgeResult(Verdict.CORRECT, 1, 1, (CaseResult("passed", 0.1),), num_weak=1)
    assert as_json(result, False, True)["isolated"] is False
    console().print(table(result, False, True))
    assert "weak: 1 ran beside the program; NOT ISOLATED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        (["{"], ["line 1", "one JSON object a line"]),
        ([{"stdout": "1"}, '{"stdin": 3, "stdout": "1"}'], ["line 2, stdin", "JSON string"]),
        ([{"call": "f"}], ["line 1, expected"]),
        (["[" * 100_000], ["line 1"]),
        (["[1]"], ["line 1", "JSON object"]),
        ([], ["--tests", "at least one test"]),
    ],
)
def test_a_bad_test_names_line_field_and_fix(
    tmp_path: Path, capsys: Capture, tests: list[object], words: list[str]
) -> None:
    assert main(files(tmp_path, "print(1)", *tests)) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert all(word in told for word in words)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--time-seconds", "0"], "time_seconds"),
        (["--time-seconds", "nan"], "time_seconds"),
        (["--memory-mb", "1000000"], "memory_mb"),
        (["--program", "no such file"], "--program"),
        (["--tests", "."], "--tests"),
    ],
)
def test_wrong_uses(tmp_path: Path, capsys: Capture, arguments: list[str], word: str) -> None:
    assert main([*files(tmp_path, "print(1)", {"stdout": "1"}), *arguments]) == 2
    assert word in capsys.readouterr().err
