"""Worked solutions become rows to fine-tune on: of training problems only, each judged correct."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.config.rl import ProblemsConfig
from ponder.config.solutions import SolutionsConfig
from ponder.curate.rows import Row, read_rows
from ponder.curate.solutions import solution_rows
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.stages.solving import SOLUTIONS
from ponder.text.parsing import format_fault

TRAIN = [
    ("Tom has 48 cards and sells 12.", "He has 48-12 = <<48-12=36>>36 cards.\n#### 36"),
    ("A pen is $3. What are 1,000 pens?", "They are 3*1000 = $<<3*1000=3000>>3,000.\n#### 3,000"),
    ("What is left of nothing?", "#### 0"),
    ("Is it in the test?", "It is 5.\n#### 5"),
]
TEST = [("Is it in the test?", "It is 5.\n#### 5")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "gsm8k"
    folder.mkdir()
    for name, rows in (("train", TRAIN), ("test", TEST)):
        lines = [json.dumps({"question": q, "answer": a}) for q, a in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


def config(data: Path, **settings: object) -> SolutionsConfig:
    return SolutionsConfig(problems=ProblemsConfig(name="gsm8k", path=data), **settings)  # type: ignore[arg-type]


def rows_of(config: SolutionsConfig) -> list[Row]:
    return list(solution_rows(config, lambda problem: f"Q: {problem.question}"))


def test_a_solution_is_a_thought(data: Path) -> None:
    rows = rows_of(config(data))
    assert [row.metadata["answer"] for row in rows] == ["36", "3000"]  # no empty thought, no test
    first = rows[0]
    assert first.prompt == "Q: Tom has 48 cards and sells 12."
    assert first.completion == ("<think>\nHe has 48-12 = 36 cards.\n</think>\n<answer>36</answer>")
    assert first.question == TRAIN[0][0]
    assert not any(format_fault(row.completion) for row in rows)


def test_variations_are_other_problems_with_their_answers(data: Path) -> None:
    rows = rows_of(config(data, variations=3))
    varied = [row for row in rows if row.source == "gsm8k (variation)"]
    assert len(varied) >= 3
    assert len({row.id for row in rows}) == len(rows)
    for row in varied:
        assert f"<answer>{row.metadata['answer']}</answer>" in row.completion
        assert row.prompt == f"Q: {row.question}"
        assert "<<" not in row.completion
    assert rows == rows_of(config(data, variations=3))
    assert rows != rows_of(config(data, variations=3, seed=1))


def test_rows_of_calculations_come_last(data: Path) -> None:
    rows = rows_of(config(data, calculations=4))
    assert rows[:2] == rows_of(config(data))
    added = rows[2:]
    assert [row.id for row in added] == [f"calculations/{n}" for n in range(4)]
    for row in added:
        assert row.source == "calculations"
        assert row.prompt == f"Q: {row.question}"
        assert row.completion.endswith(f"<answer>{row.metadata['answer']}</answer>")
        assert not format_fault(row.completion)
    assert added != rows_of(config(data, calculations=4, seed=1))[2:]
    assert SOLUTIONS.estimate(config(data, calculations=4), {}).rows == 6
    assert "4 rows of calculations" in SOLUTIONS.describe(config(data, calculations=4))


def test_processes_do_not_change_the_rows(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        json.dumps({"question": f"{TRAIN[0][0]} {i}", "answer": TRAIN[0][1]}) for i in range(60)
    ]
    (data / "train.jsonl").write_text("\n".join(lines))
    made = []
    for cores in (1, 2):
        monkeypatch.setattr("ponder.curate.solutions.usable_cpus", lambda cores=cores: cores)
        made.append(rows_of(config(data, variations=3)))
    assert made[0] == made[1]
    assert len(made[0]) == 240


def test_shares_part_the_problems(data: Path) -> None:
    def ids(low: float, high: float) -> set[str]:
        problems = ProblemsConfig(name="gsm8k", path=data, share=(low, high))
        return {row.id for row in rows_of(SolutionsConfig(problems=problems))}

    lines = [
        json.dumps({"question": f"{TRAIN[0][0]} {i}", "answer": TRAIN[0][1]}) for i in range(60)
    ]
    (data / "train.jsonl").write_text("\n".join(lines))
    assert 20 < len(ids(0, 0.6)) < 52
    assert not ids(0, 0.6) & ids(0.6, 1)
    assert len(ids(0, 0.6) | ids(0.6, 1)) == 60
    with pytest.raises(PonderError, match="share"):
        ProblemsConfig(name="gsm8k", share=(0.5, 0.5))
    with pytest.raises(PonderError, match="share"):
        ProblemsConfig(task="gcd", share=(0.0, 0.5))


def test_sources_without_solutions_are_refused() -> None:
    with pytest.raises(PonderError, match="no worked solutions"):
        rows_of(SolutionsConfig(problems=ProblemsConfig(name="svamp")))
    with pytest.raises(PonderError, match="name a source"):
        SolutionsConfig(problems=ProblemsConfig(task="gcd"))


def test_the_stage_writes_them_and_begins_anew_after_a_kill(data: Path, tmp_path: Path) -> None:
    settings = config(data, variations=2)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    (killed / "rows.jsonl.zst.part").write_bytes(b"half")
    for folder in (whole, killed):
        SOLUTIONS.run(StageContext("cold", "key", settings, folder))
    files = [folder / "rows.jsonl.zst" for folder in (whole, killed)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {row.prompt[:14] for row in read_rows(files[0])} == {"A conversation"}
    assert SOLUTIONS.estimate(settings, {}).rows == 6
    assert "gsm8k" in SOLUTIONS.describe(settings)


def test_a_chat_template_is_the_models_own(data: Path, tmp_path: Path) -> None:
    settings = config(data, template={"name": "chat"})
    SOLUTIONS.run(StageContext("cold", "key", settings, tmp_path))
    first = next(read_rows(tmp_path / "rows.jsonl.zst"))
    assert TRAIN[0][0] in first.prompt
    assert first.prompt != TRAIN[0][0]
