"""A real pipeline on the tiny random model: two steps of GRPO, then an evaluation."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from tests.pipeline.living import Lives, there
from tests.sums import write_inputs

RECIPE = """\
kind = "pipeline"
name = "real"
[common]
device = "cpu"
threads = 1
template.name = "plain"
[stages.zero]
kind = "rl"
model = "{folder}/model"
steps = 2
problems = {{path = "{folder}/problems.jsonl"}}
sampling = {{max_completion_tokens = 16}}
reward = {{accuracy = 0.0, format = 0.0, random = 1.0}}
batch = {{prompts_per_step = 2, group_size = 4}}
optimizer = {{learning_rate = 3e-3}}
eval = {{num_problems = 2, k = 2}}
checkpoint = {{every = 1}}
[stages.table]
kind = "eval"
label = "Zero"
inputs = {{model = "zero"}}
k = 2
num_problems = 6
max_batch_size = 4
max_completion_tokens = 16
benchmarks.sums = {{path = "{folder}/problems.jsonl"}}
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    (folder / "p.toml").write_text(RECIPE.format(folder=folder))
    return folder


def outputs(run: Path) -> dict[str, bytes]:
    """By path without the keys."""
    (table,) = run.glob("stages/table/*/table.json")
    weights = sorted(run.glob("stages/zero/*/checkpoints/*/model.safetensors"))
    rollouts = sorted(run.glob("stages/*/*/rollouts/**/*.zst"))
    assert len(rollouts) == 2 + 3
    named = (table, *weights, *rollouts)
    return {"/".join(p.parts[-3:-1]) + p.name: p.read_bytes() for p in named if p != table} | {
        "table": table.read_bytes()
    }


def test_end_to_end(whole: Path, lives: Lives) -> None:
    (stage,) = whole.glob("stages/zero/*/stage.json")
    record = json.loads(stage.read_text())
    assert record["outputs"]["model"]["path"] == "checkpoints/step_000002"
    assert (stage.parent / "summary.json").is_file()
    (path,) = whole.glob("stages/table/*/table.json")
    table = json.loads(path.read_text())
    assert table["label"] == "Zero"
    assert table["benchmarks"]["sums"]["measures"]["tokens"]["num_problems"] == 6
    assert table["benchmarks"]["sums"]["figures"]["num_samples"] == 12
    _, said = lives.live("status", str(whole), "--any-code")
    assert [line.split()[:3] for line in said.splitlines()[1:]] == [
        ["zero", "rl", "done"],
        ["table", "eval", "done"],
    ]


def test_a_dry_run_tells_and_does_nothing(inputs: Path, lives: Lives, tmp_path: Path) -> None:
    new = tmp_path / "x"
    code, said = lives.live("run", str(inputs / "p.toml"), "--out", str(new), "--dry-run")
    assert code == 0, said
    assert "eval  zero" in said
    assert "2 steps of 2 x 4" in said
    assert "to do: 2 of 2 stages" in said
    assert not new.exists()


def test_a_dry_run_knows_what_is_done(whole: Path, lives: Lives, tmp_path: Path) -> None:
    arguments = ("run", str(whole), "--dry-run", "--any-code")
    _, said = lives.live(*arguments, "table.k=3")
    assert "k 2 -> 3" in said
    assert "to do: 1 of 2 stages" in said
    model = tmp_path / "model"
    shutil.copytree(whole.parent / "model", model)
    _, said = lives.live(*arguments, f"zero.model={model}")
    assert "everything is done" in said, "a model counts by its content"
    (model / "README.md").write_text("another file")
    _, said = lives.live(*arguments, f"zero.model={model}")
    assert "file of model changed" in said


def test_stopped_and_killed_it_ends_as_if_it_had_not_been(
    inputs: Path, whole: Path, lives: Lives, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    code, said = lives.live(
        "run",
        str(inputs / "p.toml"),
        "--out",
        str(run),
        moment=there(run, "stages/zero/*/rollouts/step_000000*"),
        kill=signal.SIGINT,
    )
    assert code == 130, said
    assert "in stage zero; its work is on the disk" in said
    assert f"ponder pipeline run {run}" in said
    go_on = ("run", str(run), "--any-code")
    code, said = lives.live(*go_on, moment=there(run, "stages/zero/*/rollouts/step_000001*"))
    assert code == -signal.SIGKILL, said
    code, said = lives.live(*go_on, moment=there(run, "stages/table/*/rollouts/sums/step_000001*"))
    assert code == -signal.SIGKILL, said
    code, said = lives.live(*go_on)
    assert code == 0, said
    assert "in one language, %" in said
    assert f"ponder pipeline status {run}" in said
    assert outputs(run) == outputs(whole)
