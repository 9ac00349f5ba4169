"""What a model is measured on: of rows that a run may train on, the tenth that it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.config.rl import ProblemsConfig
from ponder.problems.fingerprint import is_heldout
from ponder.problems.measured import heldout_problems, measured_problems


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [{"question": f"{n} + 1?", "answer": str(n + 1)} for n in range(60)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_of_a_file_the_held_out_rows_or_all(rows: Path) -> None:
    config = ProblemsConfig(path=rows)
    found, held_out = measured_problems(config, 100, all_rows=False)
    assert held_out
    assert 0 < len(found) < 30
    assert all(is_heldout(problem.question) for problem in found)
    every, held_out = measured_problems(config, 100, all_rows=True)
    assert (len(every), held_out) == (60, False)
    assert len(measured_problems(config, 7, all_rows=True)[0]) == 7


def test_a_benchmark_is_measured_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [{"problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(30)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = ProblemsConfig(name="math500", path=path)
    found, held_out = measured_problems(config, 100, all_rows=False)
    assert (len(found), held_out) == (30, False)
    assert 0 < len(heldout_problems(config, 100)) < 20, "unless a run was trained on it"


def test_a_task_always_has_held_out_problems() -> None:
    found, held_out = measured_problems(ProblemsConfig(task="chain_sum"), 5, all_rows=True)
    assert (len(found), held_out) == (5, True)
