"""What a whole run tells its observer and leaves in its folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sums import write_inputs

from ponder.config.recipes import to_toml
from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.evals.result import EvalResult
from ponder.runlog import (
    CheckpointStore,
    MetricsWriter,
    RunFolder,
    read_alarms,
    read_metrics,
    read_rollouts,
)
from ponder.train.observer import Phase, RunInfo
from ponder.train.rl.loop import train
from ponder.train.summary import Summary
from ponder.types import Group

METRICS = [
    "reward/mean",
    "reward/accuracy",
    "reward/format",
    "rollout/pass_rate",
    "rollout/zero_variance_fraction",
    "rollout/solve_all_fraction",
    "rollout/solve_none_fraction",
    "rollout/num_error",
    "rollout/unparsable_fraction",
    "rollout/mean_tokens",
    "rollout/mean_tokens_wrong",
    "rollout/max_tokens",
    "rollout/truncated_fraction",
    "rollout/entropy",
    "text/reflective_words_per_completion",
    "text/reflective_words_per_1k_tokens",
    "text/reflective_share",
    "text/wait_per_1k_tokens",
    "loss/total",
    "loss/policy",
    "loss/kl",
    "loss/clip_low_fraction",
    "loss/clip_high_fraction",
    "loss/ratio_max",
    "loss/importance_mean",
    "loss/importance_capped_fraction",
    "policy/entropy",
    "policy/grad_norm",
    "policy/learning_rate",
    "policy/mismatch_mean",
    "policy/mismatch_max",
    "time/rollout_seconds",
    "time/update_seconds",
    "time/step_seconds",
    "speed/rollout_tokens_per_second",
    "speed/update_tokens_per_second",
]


class Notebook:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def on_start(self, info: RunInfo) -> None:
        self.told.append(("start", info))

    def on_phase(self, step: int, phase: Phase) -> None:
        self.told.append((f"{phase} {step}", None))

    def on_step(self, step: int, metrics: Mapping[str, float], groups: Sequence[Group]) -> None:
        self.told.append((f"step {step}", (dict(metrics), list(groups))))

    def on_eval(self, step: int, result: EvalResult) -> None:
        self.told.append((f"eval {step}", result))

    def on_alarm(self, text: str) -> None:
        self.told.append(("alarm", text))

    def on_end(self, summary: Summary) -> None:
        self.told.append(("end", summary))

    def named(self, name: str) -> Any:
        return next(what for told, what in self.told if told == name)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    write_inputs(tmp_path)
    return {
        "model": str(tmp_path / "model"),
        "steps": 2,
        "threads": 1,
        "device": "cpu",
        "problems": {"path": str(tmp_path / "problems.jsonl")},
        "template": {"name": "plain"},
        "sampling": {"max_completion_tokens": 8},
        "batch": {"prompts_per_step": 3, "group_size": 2},
        "eval": {"num_problems": 4, "k": 2},
        "checkpoint": {"every": 1},
    }


def run(tmp_path: Path, settings: dict[str, Any]) -> tuple[Notebook, RunFolder, Summary]:
    config = RLConfig.model_validate(settings)
    folder, notebook = RunFolder.create(tmp_path / "run", to_toml(config)), Notebook()
    return notebook, folder, train(config, folder, observer=notebook)


@pytest.mark.parametrize(("minutes", "written"), [(1e-9, [0, 1]), (10.0, [1])])
def test_minutes_make_a_checkpoint_due(
    tmp_path: Path, settings: dict[str, Any], minutes: float, written: list[int]
) -> None:
    settings["checkpoint"] = {"every": 100, "minutes": minutes}
    notebook, _, _ = run(tmp_path, settings)
    names = [name for name, _ in notebook.told if name.startswith("checkpoint")]
    assert names == [f"checkpoint {step}" for step in written]


@pytest.mark.parametrize(
    ("shortest", "share", "written"), [(0.0, 1e9, [0, 1, 2]), (0.0, 1e-9, [0, 2]), (1e9, 1e9, [2])]
)
def test_checkpoints_take_a_small_part_of_the_time(
    tmp_path: Path,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    shortest: float,
    share: float,
    written: list[int],
) -> None:
    """Without ``every``: the first after the shortest pause, the next when the last is paid for."""
    monkeypatch.setattr("ponder.train.run_record._SHORTEST_PAUSE", shortest)
    monkeypatch.setattr("ponder.train.run_record._SHARE", share)
    settings |= {"checkpoint": {"every": 0}, "steps": 3}
    notebook, _, _ = run(tmp_path, settings)
    names = [name for name, _ in notebook.told if name.startswith("checkpoint")]
    assert names == [f"checkpoint {step}" for step in written]


def test_rows_are_on_the_disk_before_their_checkpoint(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    monkeypatch.setattr(MetricsWriter, "sync", lambda self: done.append("sync"))
    save = CheckpointStore.save
    monkeypatch.setattr(CheckpointStore, "save", lambda *given: done.append("save") or save(*given))
    run(tmp_path, settings)
    assert done == ["sync", "save"] * 2


def test_a_run_that_lost_a_checkpoint_of_minutes_is_left_alone(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings["checkpoint"] = {"every": 100, "minutes": 1e-9}
    _, folder, _ = run(tmp_path, settings)
    shutil.rmtree(folder.checkpoints_dir)
    with pytest.raises(PonderError, match="no checkpoint left"):
        train(RLConfig.model_validate(settings), folder, resume=True)


def test_the_observer_hears_everything_in_order(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings["reward"] = {"random": 1.0}
    notebook, folder, summary = run(tmp_path, settings)
    assert [name for name, _ in notebook.told if name != "alarm"] == [
        "start", "evaluate 0", "eval 0",
        "rollout 0", "update 0", "step 0", "checkpoint 0",
        "rollout 1", "update 1", "step 1", "checkpoint 1",
        "evaluate 2", "eval 2", "end",
    ]  # fmt: skip
    info = notebook.named("start")
    assert (info.first_step, info.steps, info.prompts_per_step, info.group_size) == (0, 2, 3, 2)
    assert info.notes == ()
    row, groups = notebook.named("step 1")
    assert read_metrics(folder.metrics_path)[1] == {"step": 1, **row}
    assert groups == read_rollouts(folder.rollouts_dir / "step_000001.jsonl.zst")
    assert all(r.advantage is not None for g in groups for r in g.rollouts)
    assert notebook.named("end") == summary


def test_every_metric_of_the_contract_is_there(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings["reward"] = {"random": 1.0}
    settings["algorithm"] = {"kl_coef": 0.1}
    _, folder, _ = run(tmp_path, settings)
    rows = read_metrics(folder.metrics_path)
    assert set(METRICS) <= set(rows[0])
    assert "eval/pass@1" in rows[0]
    assert "eval/pass@1" not in rows[1]
    assert set(rows[2]) == {"step"} | {key for key in rows[0] if key.startswith("eval/")}


def test_summary_and_final_model(tmp_path: Path, settings: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM

    _, folder, summary = run(tmp_path, settings)
    told = json.loads(folder.summary_path.read_text())
    assert told["steps"] == 2
    assert told["seconds"] > 0
    for when in ("before", "after"):
        assert {"pass@1", "stderr", "mean_tokens", "format", "pass@2"} <= set(told[when])
    assert told["model"] == "checkpoints/step_000002"
    model = AutoModelForCausalLM.from_pretrained(folder.path / told["model"])
    assert model.num_parameters() > 0
    assert summary.model_path == folder.path / told["model"]


def test_no_signal_is_an_alarm_and_no_crash(tmp_path: Path, settings: dict[str, Any]) -> None:
    """A random model on sums: every reward is 0."""
    notebook, folder, summary = run(tmp_path, settings)
    assert summary.finished
    alarms = read_alarms(folder.alarms_path)
    assert [(a["step"], a["name"]) for a in alarms if a["name"] == "zero_variance"] == [
        (0, "zero_variance")
    ]
    assert any("every group has equal rewards" in str(what) for _, what in notebook.told)


def test_without_evaluation(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings["eval"] = {"num_problems": 0}
    _, folder, summary = run(tmp_path, settings)
    assert (summary.before, summary.after) == (None, None)
    assert len(read_metrics(folder.metrics_path)) == 2
    assert json.loads(folder.summary_path.read_text())["before"] is None


def test_two_runs_in_one_folder(tmp_path: Path, settings: dict[str, Any]) -> None:
    config = RLConfig.model_validate(settings)
    folder = RunFolder.create(tmp_path / "run", to_toml(config))
    with folder.lock(), pytest.raises(PonderError, match="another process"):
        train(config, folder)


def test_bfloat16(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings |= {"dtype": "bfloat16", "reward": {"random": 1.0}}
    settings["batch"] = {"prompts_per_step": 4, "group_size": 4, "minibatches": 2}
    notebook, folder, summary = run(tmp_path, settings)
    assert summary.finished
    assert read_metrics(folder.metrics_path)[0]["policy/grad_norm"] > 0
    assert notebook.named("start").notes == ()


def test_bfloat16_without_master_weights_says_what_is_lost(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings |= {"dtype": "bfloat16", "optimizer": {"master_weights": False}, "steps": 1}
    notebook, _, summary = run(tmp_path, settings)
    assert summary.finished
    assert "1e-06 are lost in rounding" in notebook.named("start").notes[-1]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_on_a_gpu_and_resumed(tmp_path: Path, settings: dict[str, Any], dtype: str) -> None:
    settings |= {"device": "cuda", "dtype": dtype, "reward": {"random": 1.0}, "steps": 4}
    settings["algorithm"] = {"kl_coef": 0.1, "reference_every": 2}
    settings["batch"] = {"prompts_per_step": 4, "group_size": 4, "minibatches": 2}
    config = RLConfig.model_validate(settings)
    folder = RunFolder.create(tmp_path / "run", to_toml(config))
    asked = iter([False, False, True])
    assert train(config, folder, should_stop=lambda: next(asked)).steps == 2
    assert train(config, folder, resume=True).finished
    assert len(read_metrics(folder.metrics_path)) == 5
