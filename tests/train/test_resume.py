"""Kill -9 at any moment, then resume: the files of an uninterrupted run, bit for bit."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.config.recipes import to_toml
from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.runlog import CheckpointStore, RunFolder, list_steps, read_metrics
from ponder.train.grpo import train

STEPS = 7


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RLConfig:
    """Everything that has state: a reference, several minibatches, rounds of dynamic sampling."""
    folder = tmp_path_factory.mktemp("inputs")
    save_model(*make_tiny_model(0), folder / "model")
    rows = [{"question": f"{a} + {b} =", "answer": str(a + b)} for a in range(9) for b in range(9)]
    (folder / "problems.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
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


class Lives:
    """Training processes, one after the other; see lives.py."""

    def __init__(self, config: RLConfig, folder: Path) -> None:
        (folder / "config.toml").write_text(to_toml(config))
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("lives.py")),
                str(folder / "config.toml"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def live(self, path: Path, moment: Callable[[Path], bool] = lambda path: False) -> int:
        """Run until the end or until ``moment(path)``, then kill -9; the wait status."""
        assert self.process.stdin is not None
        print(path, file=self.process.stdin, flush=True)
        pid = int(self._line())
        ended: list[int] = []
        waiter = threading.Thread(target=lambda: ended.append(int(self._line())))
        waiter.start()
        while waiter.is_alive() and not moment(path):
            time.sleep(0.0005)
        if waiter.is_alive():
            os.kill(pid, signal.SIGKILL)
        waiter.join()
        return ended[0]

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def lives(config: RLConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    made = Lives(config, tmp_path_factory.mktemp("lives"))
    yield made
    made.process.communicate()


@pytest.fixture(scope="module")
def uninterrupted(lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    assert lives.live(path) == 0
    return path


def contents(path: Path) -> dict[str, Any]:
    """All that a run leaves, without the clock."""
    rows = read_metrics(path / "metrics.jsonl")
    last = CheckpointStore(path / "checkpoints").latest()
    assert last is not None
    state = json.loads((last / "trainer_state.json").read_text())
    summary = json.loads((path / "summary.json").read_text())
    return {
        "metrics": [
            {k: v for k, v in row.items() if not k.startswith(("time/", "speed/"))} for row in rows
        ],
        "rollouts": {p.name: p.read_bytes() for p in (path / "rollouts").iterdir()},
        "evals": {p.name: p.read_bytes() for p in (path / "evals").iterdir()},
        "alarms": (path / "alarms.jsonl").read_bytes() if (path / "alarms.jsonl").exists() else b"",
        "checkpoints": sorted(p.name for p in (path / "checkpoints").iterdir()),
        "weights": (last / "model.safetensors").read_bytes(),
        "state": {k: v for k, v in state.items() if k != "seconds"},
        "summary": {k: v for k, v in summary.items() if k != "seconds"},
    }


def after(seconds: float) -> Callable[[Path], bool]:
    """A moment so long after the run folder has appeared."""
    began: list[float] = []

    def reached(path: Path) -> bool:
        if not began and (path / "lock").exists():
            began.append(time.monotonic())
        return bool(began) and time.monotonic() - began[0] > seconds

    return reached


def while_writing(pattern: str) -> Callable[[Path], bool]:
    """The moment in which a temporary file or folder exists."""
    return lambda path: next(path.glob(pattern), None) is not None


MOMENTS = {
    "early": [after(s) for s in (0.02, 0.1, 0.3)],
    "checkpoints": [while_writing(f"checkpoints/.tmp_step_00000{s}") for s in (2, 4, 6)],
    "files of a checkpoint": [
        while_writing("checkpoints/.tmp_step_000002/model.safetensors"),
        while_writing("checkpoints/.tmp_step_000004/trainer_state.pt"),
        while_writing("checkpoints/.tmp_step_000006/manifest.json"),
    ],
    "steps": [while_writing(f"rollouts/step_00000{s}*") for s in (0, 3, 5)],
    "end": [
        while_writing("rollouts/step_000001*"),
        while_writing("checkpoints/step_000007"),
        while_writing("evals/step_000007.json"),
    ],
    "random": [after(s) for s in random.Random(7).choices([x / 100 for x in range(5, 150)], k=6)],
}


@pytest.mark.parametrize("name", MOMENTS)
def test_killed_and_resumed_is_uninterrupted(
    name: str, lives: Lives, uninterrupted: Path, tmp_path: Path
) -> None:
    path, num_killed = tmp_path / "run", 0
    for moment in MOMENTS[name]:
        num_killed += lives.live(path, moment) == signal.SIGKILL
        if (path / "summary.json").exists():
            break
    else:
        assert lives.live(path) == 0
    assert num_killed >= 1
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
