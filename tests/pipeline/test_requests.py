"""The rows of the general domain: half as people prefer them, half not, the same each time."""

from __future__ import annotations

from pathlib import Path

from ponder.config.requests import RequestsConfig
from ponder.curate.rows import Row, read_rows
from ponder.pipeline.context import StageContext
from ponder.pipeline.stages.requests import REQUESTS
from ponder.problems.requests import helpful, safe
from ponder.types import Problem


def written(folder: Path, **settings: object) -> list[Row]:
    folder.mkdir(exist_ok=True)
    config = RequestsConfig(**settings)  # type: ignore[arg-type]
    REQUESTS.run(StageContext("general", "key", config, folder))
    return list(read_rows(folder / "rows.jsonl"))


def problem_of(row: Row) -> Problem:
    """What the rules look at: the answer is in the row itself where it is a sentence."""
    language = row.metadata["language"]
    secret = row.question.split("。")[0].split(".")[0].split()
    told = next((word for word in secret if word.isdigit()), "")
    return Problem("p", row.question, "", "x", {"language": language, "secret": told})


def test_of_each_manner_the_share_asked_for(tmp_path: Path) -> None:
    rows = written(tmp_path, num_rows=400)
    requests = [row for row in rows if row.source == "requests"]
    secrets = [row for row in rows if row.source == "secrets"]
    assert len(requests) == len(secrets) == 200
    sentences = sum(helpful(problem_of(row), row.completion) > 0.5 for row in requests)
    assert 70 < sentences < 130
    silent = sum(safe(problem_of(row), row.completion) for row in secrets)
    assert 70 < silent < 130
    assert {row.domain for row in rows} == {"general"}
    assert (tmp_path / "rows.jsonl.card.json").is_file()


def test_all_or_none(tmp_path: Path) -> None:
    best = written(tmp_path / "a", num_rows=40, helpful_share=1.0, leaking_share=0.0)
    assert all(safe(problem_of(r), r.completion) for r in best if r.source == "secrets")
    assert all("</think> <answer> " in r.completion for r in best)
    worst = written(tmp_path / "b", num_rows=40, helpful_share=0.0, leaking_share=1.0)
    assert not any(safe(problem_of(r), r.completion) for r in worst if r.source == "secrets")
    assert [r.question for r in best] == [r.question for r in worst]
