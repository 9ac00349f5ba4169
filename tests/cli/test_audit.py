"""`ponder audit`: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.cli.main import main


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_clean_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": "q?", "answer": str(i)} for i in range(70)]  # repeated questions count
    assert main(["audit", write(tmp_path / "a.jsonl", rows)]) == 0
    printed = capsys.readouterr().out
    assert "70 problems in" in printed
    assert "every probe judged rightly" in printed


def test_failures_are_listed_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"question": "a?", "answer": "5"},
        {"question": "b?", "answer": "x + [1]"},
        {"question": "c?", "answer": "7"},
    ]
    path = write(tmp_path / "a.jsonl", rows)
    assert main(["audit", path, "--json", str(tmp_path / "out.json")]) == 1
    printed = capsys.readouterr().out
    assert "a.jsonl:2" in printed
    assert "the reference answer is not a number" in printed
    assert "3 problems in" in printed
    assert "judged wrongly: reference 1, nonsense 1, empty 1, none 1" in printed
    told = json.loads((tmp_path / "out.json").read_text())
    assert (told["num_problems"], told["num_failures"]) == (3, 4)
    assert {failure["id"] for failure in told["failures"]} == {"a.jsonl:2"}
    assert told["counts"] == {"reference": 1, "nonsense": 1, "empty": 1, "none": 1}


def test_rows_that_cannot_be_read_are_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"question": "a?", "choices": ["x", "y"], "answer": 1},
        {"question": "b?", "choices": ["x"], "answer": 0},
        {"question": "c?", "choices": ["x", "y"], "answer": 3},
    ]
    path = write(tmp_path / "a.jsonl", rows)
    assert main(["audit", f"mmlu_stem:path={path}"]) == 1
    printed = capsys.readouterr().out
    assert "1 options" in printed
    assert "not one of the options" in printed
    assert "mmlu_stem: 3 problems" in printed


def test_the_first_n(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": "q?", "answer": "1"}, {"question": "r?", "answer": "x"}]
    assert main(["audit", write(tmp_path / "a.jsonl", rows), "--num", "1"]) == 0
    assert "1 problems" in capsys.readouterr().out


def test_verifiers_and_fields_of_a_file(tmp_path: Path) -> None:
    rows = [{"q": "a?", "gold": "New  York", "re": "(?i)new\\s+york"}]
    path = write(tmp_path / "a.jsonl", rows)
    fields = "question_field=q,answer_field=gold"
    assert main(["audit", f"{path}:{fields},verifier=text"]) == 0
    assert main(["audit", f"{path}:{fields},verifier=regex,metadata_fields={{pattern='re'}}"]) == 0
    assert main(["audit", f"{path}:{fields},verifier=exact"]) == 1


def test_a_verifier_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_for_audit.py").write_text(
        "def verify(problem, text):\n    return f'<answer> {problem.answer} <' in text\n"
    )
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.jsonl", [{"question": "a?", "answer": "grün"}])
    assert main(["audit", f"{path}:verifier=own_for_audit:verify"]) == 0
    assert main(["audit", f"{path}:verifier=own_for_audit:no"]) == 2


def test_a_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "gcd", "--num", "5"]) == 0
    assert main(["audit", "game_of_life_halting", "--num", "3"]) == 1
    assert "nonsense" in capsys.readouterr().out


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "no_such_task"]) == 2
    assert main(["audit", str(tmp_path / "none.jsonl")]) == 2
    assert main(["audit", "gcd", "--json", str(tmp_path / "no" / "out.json")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
