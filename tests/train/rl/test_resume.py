"""Kill -9 at any moment, then resume: the files of an uninterrupted run, bit for bit."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.sums import write_inputs
from tests.train import living
from tests.train.living import Lives, after, live_through, there

from ponder.config.recipes import to_toml
from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.runlog import RunFolder, list_steps, read_metrics
from ponder.train.rl.loop import train

STEPS = 7


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RLConfig:
    """Everything that has state: a reference, several minibatches, rounds of dynamic sampling."""
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return RLConfig.model_validate(
        {
            "name": "kill",
            "model": str(folder / "model"),
            "steps": STEPS,
            "threads": 1,
            "device": "cpu",
            "problems": {"path": str(folder / "problems.jsonl")},
            "template": {"name": "plain"},
            "sampling": {"max_completion_tokens": 16},
            "reward": {"accuracy": 1.0, "format": 1.0, "random": 1.0},
            "algorithm": {
                "kl_coef": 0.05,
                "reference_every": 3,
                "dynamic_sampling": True,
                "dynamic_sampling_rounds": 2,
            },
            "batch": {"prompts_per_step": 4, "group_size": 4, "minibatches": 2},
            "optimizer": {"learning_rate": 3e-3, "warmup_steps": 3, "schedule": "cosine"},
            "eval": {"num_problems": 4, "k": 2, "every": 3},
            "checkpoint": {"every": 2, "keep": 2},
        }
    )


def contents(path: Path) -> dict[str, Any]:
    """All that a run leaves, without the clock."""
    alarms = path / "alarms.jsonl"
    return living.contents(path) | {
        "rollouts": {p.name: p.read_bytes() for p in (path / "rollouts").iterdir()},
        "alarms": alarms.read_bytes() if alarms.exists() else b"",
    }


MOMENTS = {
    "early": [after(s) for s in (0.02, 0.1, 0.3)],
    "checkpoints": [there(f"checkpoints/.tmp_step_00000{s}") for s in (2, 4, 6)],
    "files of a checkpoint": [
        there("checkpoints/.tmp_step_000002/model.safetensors"),
        there("checkpoints/.tmp_step_000004/trainer_state.pt"),
        there("checkpoints/.tmp_step_000006/manifest.json"),
    ],
    "steps": [there(f"rollouts/step_00000{s}*") for s in (0, 3, 5)],
    "end": [
        there("rollouts/step_000001*"),
        there("checkpoints/step_000007"),
        there("evals/step_000007.json"),
    ],
    "random": [after(s) for s in random.Random(7).choices([x / 100 for x in range(5, 150)], k=6)],
}


@pytest.mark.parametrize("name", MOMENTS)
def test_killed_and_resumed_is_uninterrupted(
    name: str, lives: Lives, uninterrupted: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    live_through(lives, path, MOMENTS[name])
    ours, theirs = contents(path), contents(uninterrupted)
    for part, expected in theirs.items():
        assert ours[part] == expected, part


def test_the_uninterrupted_run_is_worth_comparing(uninterrupted: Path) -> None:
    found = contents(uninterrupted)
    assert [row["step"] for row in found["metrics"]] == list(range(STEPS + 1))
    assert [s for s, row in enumerate(found["metrics"]) if "eval/pass@1" in row] == [0, 3, 6, 7]
    assert list_steps(uninterrupted / "rollouts") == list(range(STEPS))
    assert all(row["policy/grad_norm"] > 0 for row in found["metrics"][:-1])
    assert found["metrics"][2]["loss/kl"] > 0
    assert found["checkpoints"] == ["step_000006", "step_000007"]
    # 4 problems x 2 rounds x 7 steps of 72 or so: the stream has moved by all of them.
    assert found["state"]["num_updates"] == 2 * STEPS


def test_a_finished_run_says_so(config: RLConfig, uninterrupted: Path) -> None:
    with pytest.raises(PonderError, match=r"this run is finished \(7 of 7 steps\)"):
        train(config, RunFolder.open(uninterrupted), resume=True)


def test_a_folder_with_a_run_is_not_overwritten(config: RLConfig, uninterrupted: Path) -> None:
    with pytest.raises(PonderError, match="this folder holds a run"):
        train(config, RunFolder.open(uninterrupted))


def test_asked_to_stop_finishes_the_step_and_resumes(
    config: RLConfig, uninterrupted: Path, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", to_toml(config))
    asked = iter([False, False, False, True])
    summary = train(config, run, should_stop=lambda: next(asked))
    assert (summary.steps, summary.finished, summary.after) == (3, False, None)
    assert summary.model_path.name == "step_000003"
    assert not run.summary_path.exists()
    seconds = summary.seconds
    (run.path / "evals" / ".step_000003.json.1.tmp").write_text("what a killed process left")
    resumed = train(config, run, resume=True)
    assert resumed.finished
    assert resumed.seconds > seconds
    ours, theirs = contents(run.path), contents(uninterrupted)
    for part in ("metrics", "rollouts", "evals", "weights", "summary"):
        assert ours[part] == theirs[part], part


def test_a_corrupt_checkpoint_is_named(
    config: RLConfig, uninterrupted: Path, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", to_toml(config))
    asked = iter([False, False, False, True])
    train(config, run, should_stop=lambda: next(asked))
    weights = run.checkpoints_dir / "step_000003" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(PonderError, match=r"model\.safetensors"):
        train(config, run, resume=True)


def test_a_run_without_its_checkpoints_is_left_alone(
    config: RLConfig, uninterrupted: Path, tmp_path: Path
) -> None:
    """Somebody made room on the disk: beginning again would delete the rest of the run, too."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(uninterrupted, run.path)
    shutil.rmtree(run.checkpoints_dir)
    with pytest.raises(PonderError, match="no checkpoint left"):
        train(config, run, resume=True)
    assert len(read_metrics(run.metrics_path)) == config.steps + 1
    assert run.summary_path.exists()
