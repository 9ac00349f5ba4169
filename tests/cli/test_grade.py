"""`ponder grade`: a verdict for every line, in order, whatever is in it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ponder.cli.grade_cases import MAX_LINE_BYTES
from ponder.cli.main import main

Capture = pytest.CaptureFixture[str]


def grade(tmp_path: Path, content: bytes, *more: str) -> list[dict[str, Any]]:
    (tmp_path / "cases.jsonl").write_bytes(content)
    out = tmp_path / "verdicts.jsonl"
    arguments = ["--kind", "exact", "--in", str(tmp_path / "cases.jsonl"), "--out", str(out)]
    assert main(["grade", *arguments, *more]) == 0
    assert not out.with_name("verdicts.jsonl.partial").exists()
    lines = out.read_bytes().decode("utf-8").split("\n")
    assert lines.pop() == ""
    return [json.loads(line, parse_constant=pytest.fail) for line in lines]


def case(gold: object, completion: object, **fields: object) -> bytes:
    return json.dumps({"gold": gold, "completion": completion, **fields}).encode() + b"\n"


GOOD = case("5", r"\boxed{5}")


def test_verdicts_in_order_with_the_lines_own_fields(tmp_path: Path, capsys: Capture) -> None:
    content = (
        case("5", r"It is \boxed{5}.", id="a", note={"x": [1, 2.5, None, "数"]})
        + case("5", r"It is \boxed{6}.", id="b")
        + case("5", "It is five.", id="c")
        + case("green", r"\boxed{5}", id="d")
    )
    rows = grade(tmp_path, content)
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["verdict"] for row in rows] == ["correct", "incorrect", "unparsable", "error"]
    assert [row["answer"] for row in rows] == ["5", "6", None, None]
    assert rows[0]["note"] == {"x": [1, 2.5, None, "数"]}
    assert "数" in (tmp_path / "verdicts.jsonl").read_text(encoding="utf-8")
    assert all(row["milliseconds"] > 0 for row in rows)
    assert rows[3]["reason"]
    printed = capsys.readouterr()
    assert printed.out == ""
    summary = [" ".join(line.split()) for line in printed.err.splitlines()]
    assert summary[:4] == [f"{name} 1 25.0%" for name in (row["verdict"] for row in rows)]
    assert any(line.startswith("first error: line 4: the reference") for line in summary)
    assert summary[-1].startswith("written to ")


BAD_LINES = {
    b"": "not JSON",
    b"   ": "not JSON",
    b"{": "not JSON",
    b'{"gold": "5", "completion": "x"} {}': "not JSON",
    b'{"gold": "5", "completion": "\x00"}': "not JSON",
    b"[1]": "not a JSON object but a list",
    b"null": "but null",
    b'"text"': "but text",
    b"{}": "no 'gold'",
    b'{"gold": "5"}': "no 'completion'",
    b'{"completion": "5"}': "no 'gold'",
    b'{"gold": null, "completion": "5"}': "'gold' is not text but null",
    b'{"gold": true, "completion": "5"}': "but a truth value",
    b'{"gold": "5", "completion": 5}': "but a number",
    b'{"gold": "5", "completion": true}': "but a truth value",
    b'{"gold": "5", "completion": {}}': "but an object",
    b'{"gold": "5", "completion": "\xff"}': "not UTF-8: byte 30",
    b"\xff\xfe{\x00}\x00": "not UTF-8",
    b'{"gold": NaN, "completion": "5"}': "NaN",
    b'{"gold": "5", "completion": "5", "x": -Infinity}': "Infinity",
    b'{"gold": "5", "completion": "5", "x": 1e999}': "1e999 is too large",
    b'{"gold": "5", "completion": "5", "x": ' + b"9" * 5000 + b"}": "digits",
    b'{"gold": "5", "gold": "6", "completion": "5"}': "'gold' is there twice",
    b'{"gold": "5", "completion": "5", "x": {"y": 1, "y": 1}}': "'y' is there twice",
    b'{"gold": "5", "completion": "\\ud800"}': "surrogate",
    b'{"gold": "\\udfff", "completion": "5"}': "surrogate",
    b'{"gold": "5", "completion": "5", "metadata": 7}': "'metadata' is not an object",
    b'{"a":' * 100_000: "deep",
    b'{"gold": "5", "completion": "5", "x": ' + b"[" * 900 + b"]" * 900 + b"}": "deep",
    b'{"gold": "5", "completion": "' + b"x" * MAX_LINE_BYTES + b'"}': "a line of 16,777,247 bytes",
}


def test_lines_that_cannot_be_judged_are_errors_each_in_its_place(tmp_path: Path) -> None:
    content = b"".join(line + b"\n" + GOOD for line in BAD_LINES)
    rows = grade(tmp_path, content)
    assert len(rows) == 2 * len(BAD_LINES)
    for row, reason in zip(rows[::2], BAD_LINES.values(), strict=True):
        assert (row["verdict"], row["answer"]) == ("error", None)
        assert reason in row["reason"]
    assert {row["verdict"] for row in rows[1::2]} == {"correct"}


def test_what_is_odd_but_sound_is_judged(tmp_path: Path) -> None:
    content = (
        b"\xef\xbb\xbf" + GOOD  # a byte order mark
        + GOOD.replace(b"\n", b"\r\n")
        + b'{"gold": "5", "completion": "\\u2028\\u0000 \\\\boxed{5}", "x": "\\ud800"}\n'
        + case("5", "x" * 100_000 + r"\boxed{5}", verdict="mine", question=None)
        + GOOD.rstrip(b"\n")  # no end of the last line
    )  # fmt: skip
    rows = grade(tmp_path, content)
    assert [row["verdict"] for row in rows] == ["correct"] * 5
    assert rows[2]["x"] == "\ud800"


def test_an_empty_file_has_no_verdicts(tmp_path: Path, capsys: Capture) -> None:
    assert grade(tmp_path, b"") == []
    assert "lines" in capsys.readouterr().err


def test_bytes_at_random(tmp_path: Path) -> None:
    content = random.Random(0).randbytes(100_000)
    rows = grade(tmp_path, content)
    assert len(rows) == content.count(b"\n") + (not content.endswith(b"\n"))
    assert {row["verdict"] for row in rows} == {"error"}


def test_the_output_may_replace_the_input(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_bytes(GOOD * 3)
    assert main(["grade", "--kind", "exact", "--in", str(path), "--out", str(path)]) == 0
    assert [json.loads(line)["verdict"] for line in path.open()] == ["correct"] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--in": "/nope.jsonl"}, "error: --in = '/nope.jsonl': there is no such file"),
        ({"--in": "/"}, "error: --in = '/': it cannot be read: Is a directory"),
        ({"--kind": "nope"}, "error: --kind = 'nope': use one of"),
        ({"--out": "/nope/x.jsonl"}, "error: --out = '/nope/x.jsonl': there is no such folder"),
        ({"--out": "/"}, "error: --out = '/': this is a folder"),
    ],
)
def test_wrong_uses(change: dict[str, str], message: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "cases.jsonl").write_bytes(GOOD)
    options = {"--kind": "exact", "--in": str(tmp_path / "cases.jsonl"), "--out": "-"} | change
    assert main(["grade", *(word for option in options.items() for word in option)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert printed.out == ""


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ponder.cli.main", "grade", "--kind", "exact", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)


def test_a_pipe_gets_its_verdict_before_the_next_line_is_sent() -> None:
    with start("--in", "-", "--out", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(GOOD)
            assert json.loads(process.stdout.readline())["verdict"] == "correct"
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(10) == 0


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_run_leaves_no_file_that_looks_complete(
    how: signal.Signals, code: int, tmp_path: Path
) -> None:
    out = tmp_path / "verdicts.jsonl"
    with start("--in", "-", "--out", str(out)) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(GOOD * 3)
        partial = out.with_name("verdicts.jsonl.partial")
        end = time.monotonic() + 20
        while not partial.exists() or partial.read_bytes().count(b"\n") < 3:
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(process.pid, how)
        assert process.wait(10) == code
        told = process.stderr.read().decode()
    assert not out.exists()
    assert partial.exists()
    if how is signal.SIGINT:
        assert told == f"stopped: 3 verdicts are in {partial}\n"
        assert len(partial.read_bytes().splitlines()) == 3


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with start("--in", "-", "--out", str(fifo)) as process:
        assert process.stdin is not None
        with fifo.open("rb") as reader:
            process.stdin.write(GOOD)
            process.stdin.close()
            assert json.loads(reader.read())["verdict"] == "correct"
        assert process.wait(10) == 0
    assert fifo.is_fifo()


def test_a_gold_may_be_a_json_number(tmp_path: Path) -> None:
    lines = [
        b'{"gold": 5, "completion": "\\\\boxed{5}"}',
        b'{"gold": 27.0, "completion": "\\\\boxed{27}"}',
    ]
    rows = grade(tmp_path, b"".join(line + b"\n" for line in lines))
    assert [row["verdict"] for row in rows] == ["correct", "correct"]
    assert [row["gold"] for row in rows] == [5, 27.0]
