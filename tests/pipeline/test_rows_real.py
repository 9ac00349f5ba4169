"""`ponder pipeline run` with both stages that make rows: killed, waiting for a person, resumed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.pipeline.judging import VERIFIER, read_lines, tiny_model, write_problems
from tests.pipeline.living import Lives, there

RECIPE = """\
kind = "pipeline"
name = "rows"
[common]
device = "cpu"
threads = 1
template.name = "plain"
chunk_problems = 4
model = "{folder}/model"
problems = {{path = "{folder}/problems.jsonl", verifier = "{verifier}"}}
benchmarks.held_out = {{path = "{folder}/problems.jsonl", verifier = "{verifier}"}}
sampling = {{max_completion_tokens = 12}}
filters = {{format = "any", min_language = 0.0, max_repetition = 1.0, allow_truncated = true}}
collect = {{num_problems = 12, group_size = 2}}
[stages.cold]
kind = "cold_start"
[stages.reject]
kind = "reject"
inputs = {{general = "cold"}}
choose = {{rule = "shortest", at_most = 2}}
general = {{share = 0.2, filters = {{format = "any", min_language = 0.0, allow_truncated = true}}}}
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    tiny_model(folder / "model")
    write_problems(folder / "problems.jsonl", 40)
    (folder / "p.toml").write_text(RECIPE.format(folder=folder, verifier=VERIFIER))
    return folder


def outputs(run: Path) -> dict[str, bytes]:
    """By path without the keys."""
    names = ("rows.jsonl", "rows.jsonl.card.json", "rows.jsonl.card.md", "summary.json")
    found = [path for name in names for path in sorted(run.glob(f"stages/*/*/{name}"))]
    found += sorted(run.glob("stages/*/*/rollouts/*"))
    assert len(found) == 2 * (len(names) + 3)
    return {f"{path.relative_to(run).parts[1]}/{path.name}": path.read_bytes() for path in found}


def test_the_rows_of_both_stages(whole: Path) -> None:
    (cold,), (rejected,) = (
        list(whole.glob(f"stages/{n}/*/rows.jsonl")) for n in ("cold", "reject")
    )
    rows = read_lines(rejected)
    ids = {row["id"] for row in read_lines(cold)}
    assert len(rows) > len(ids) / 2
    assert any(row["id"] in ids for row in rows), "rows of the other stage are mixed in"
    assert (cold.parent / "review.txt").is_file()


def test_a_dry_run_says_what_it_takes(inputs: Path, lives: Lives, tmp_path: Path) -> None:
    code, said = lives.live(
        "run", str(inputs / "p.toml"), "--out", str(tmp_path / "x"), "--dry-run"
    )
    assert code == 0, said
    assert "12 problems x 2 on" in said
    (reject,) = [line.split() for line in said.splitlines() if line.startswith("reject ")]
    assert reject[1:3] == ["reject", "cold"], "what it reads"


def test_killed_waiting_and_resumed_it_ends_as_if_it_had_not_been(
    inputs: Path, whole: Path, lives: Lives, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    first = ("run", str(inputs / "p.toml"), "--out", str(run))
    again = ("run", str(run), "--any-code")
    code, said = lives.live(*first, moment=there(run, "stages/cold/*/rollouts/step_000000*"))
    assert code == -signal.SIGKILL, said
    code, said = lives.live(*again, moment=there(run, "stages/cold/*/samples.jsonl"))
    assert code in (-signal.SIGKILL, 2), said
    code, said = lives.live(*again)
    assert code == 2
    assert "rows are not marked" in said
    _, said = lives.live("status", str(run), "--any-code")
    assert ["cold", "cold_start", "waiting"] in [line.split()[:3] for line in said.splitlines()]
    for moment in ("rollouts/step_000000*", "rollouts/step_000004*", "reasoning.jsonl"):
        code, said = lives.live(*again, "--yes", moment=there(run, f"stages/reject/*/{moment}"))
        assert code in (-signal.SIGKILL, 0), said
    code, said = lives.live(*again, "--yes")
    assert code == 0, said
    assert outputs(run) == outputs(whole)
