"""Stages of fine-tuning, really run on the tiny random model, killed and stopped inside."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from tests.pipeline.living import Lives, there

from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.pipeline.stages.pretraining import told
from ponder.runlog import read_metrics

COMMON = """\
kind = "pipeline"
name = "trained"
[common]
device = "cpu"
threads = 1
template.name = "plain"
checkpoint = {every = 1}
"""
SFT = """\
[stages.dev]
kind = "sft"
model = "{folder}/model"
inputs = {{data = ["{folder}/cold.jsonl", "{folder}/general.jsonl"]}}
epochs = 2
data = {{heldout_samples = 3}}
batch = {{samples = 8}}
optimizer = {{learning_rate = 3e-3, min_learning_rate = 1e-3}}
[stages.more]
kind = "sft"
inputs = {{data = "{folder}/cold.jsonl", model = "dev"}}
epochs = 1
batch = {{samples = 8}}
lora = {{rank = 2}}
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    save_model(*make_tiny_model(0), folder / "model")
    for name, start, count in (("cold", 0, 20), ("general", 20, 15)):
        rows = [
            {"id": f"{n}", "prompt": f"{n} + 1 =", "completion": f" {n + 1}", "domain": "math"}
            for n in range(start, start + count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "p.toml").write_text(COMMON + SFT.format(folder=folder))
    return folder


def trained(run: Path) -> dict[str, bytes]:
    """The weights that every stage ends with, by path without the keys."""
    found = {}
    for weights in sorted(run.glob("stages/*/*/checkpoints/*/*.safetensors")):
        parts = weights.relative_to(run).parts
        found["/".join((parts[1], *parts[4:]))] = weights.read_bytes()
    return found


def test_rows_of_all_files_are_learnt_and_nothing_else_is_left(whole: Path) -> None:
    (stage,) = whole.glob("stages/dev/*/stage.json")
    summary = json.loads((stage.parent / "summary.json").read_text())
    assert summary["data"]["samples"] + summary["data"]["heldout_samples"] == 35
    assert summary["heldout_loss"][1] < summary["heldout_loss"][0]
    assert {path.name for path in stage.parent.iterdir() if path.is_dir()} == {
        "checkpoints",
        "evals",
        "rollouts",
    }
    assert not list(stage.parent.glob("data.jsonl*"))
    assert json.loads(stage.read_text())["outputs"]["model"]["path"] == "checkpoints/step_000008"


def test_a_stage_goes_on_from_the_model_before_it(whole: Path) -> None:
    (dev,) = (path.parent for path in whole.glob("stages/dev/*/stage.json"))
    (more,) = (path.parent for path in whole.glob("stages/more/*/stage.json"))
    assert str(dev / "checkpoints" / "step_000008") in (more / "config.toml").read_text()
    first, second = (read_metrics(run / "metrics.jsonl")[0]["loss/total"] for run in (dev, more))
    assert second < first
    assert list(more.glob("checkpoints/*/adapter/adapter_model.safetensors"))


def test_stopped_and_killed_it_ends_as_if_it_had_not_been(
    inputs: Path, whole: Path, lives: Lives, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    first = ("run", str(inputs / "p.toml"), "--out", str(run))
    code, said = lives.live(*first, moment=there(run, "stages/dev/*/data.jsonl.zst*"))
    assert code == -signal.SIGKILL, said
    go_on = ("run", str(run), "--any-code")
    code, said = lives.live(
        *go_on, moment=there(run, "stages/dev/*/checkpoints/step_000001"), kill=signal.SIGINT
    )
    assert code == 130, said
    assert "in stage dev; its work is on the disk" in said
    code, said = lives.live(*go_on, moment=there(run, "stages/dev/*/checkpoints/step_000004"))
    assert code == -signal.SIGKILL, said
    code, said = lives.live(*go_on, moment=there(run, "stages/more/*/checkpoints/step_000002"))
    assert code == -signal.SIGKILL, said
    code, said = lives.live(*go_on)
    assert code == 0, said
    assert trained(run) == trained(whole)


def test_killed_between_the_end_of_the_run_and_that_of_the_stage(
    whole: Path, lives: Lives, tmp_path: Path
) -> None:
    """Nothing is trained again, and what is left over goes."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (stage,) = (path.parent for path in run.glob("stages/dev/*/stage.json"))
    (stage / "stage.json").unlink()
    (stage / "samples").mkdir()
    (stage / "data.jsonl.zst").write_bytes(b"")
    before = (stage / "metrics.jsonl").stat().st_mtime_ns
    code, said = lives.live("run", str(run), "--any-code")
    assert code == 0, said
    assert (stage / "metrics.jsonl").stat().st_mtime_ns == before
    assert not (stage / "samples").exists()
    assert not (stage / "data.jsonl.zst").exists()


def test_a_dry_run_counts_rows(inputs: Path, lives: Lives, tmp_path: Path) -> None:
    code, said = lives.live(
        "run", str(inputs / "p.toml"), "--out", str(tmp_path / "x"), "--dry-run"
    )
    assert code == 0, said
    dev = next(line for line in said.splitlines() if line.startswith("dev "))
    assert " 70 " in dev
    assert "2 epochs, updates of 8 samples" in said


WRONG = {
    "data = {path = 'a.jsonl'}": "stages.dev.data.path",
    "epochs = 0": "stages.dev.epochs",
    "batch = {tokens = 9}": "set batch.samples=0",
}


@pytest.mark.parametrize("setting", WRONG)
def test_mistakes_name_the_stage(setting: str, inputs: Path, lives: Lives, tmp_path: Path) -> None:
    key, _, value = setting.partition(" = ")
    lines = [line for line in SFT.format(folder=inputs).splitlines() if not line.startswith(key)]
    lines.insert(2, f"{key} = {value}")
    path = tmp_path / "p.toml"
    path.write_text(COMMON + "\n".join(lines[: lines.index("[stages.more]")]))
    code, said = lives.live("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 2
    assert WRONG[setting] in said


def test_a_bad_row_is_named_by_its_file_and_line(
    inputs: Path, lives: Lives, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\n')
    recipe = (COMMON + SFT.format(folder=inputs)).replace(f"{inputs}/general.jsonl", str(bad))
    path = tmp_path / "p.toml"
    path.write_text(recipe)
    code, said = lives.live("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 2
    assert f"{bad}:2: completion" in said
    bad.write_text('{"prompt": "a", "completion": "b"}\n')
    code, said = lives.live("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 0, said


def test_counts_are_told_in_full() -> None:
    assert told({"corpus/documents": 4_000_000, "loss": 2.34567}) == (
        "corpus/documents 4,000,000  loss 2.346"
    )
