"""kill -9 at any moment, then resume: the same files as a run that was never killed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

_STEPS = 45

_RUN = """
import sys
from pathlib import Path
from ponder.runlog import *
from ponder.runlog.checkpoint import checkpoint_step
from ponder.types import *

def group(step):
    text = f"step {step} " * 500
    rollout = Rollout(Completion("a", 0, [step] * 300, text, [-1.0] * 300, "stop"),
                      Judgement(Verdict.CORRECT), {"accuracy": 1.0}, 1.0)
    return Group(Problem("a", "q", "1"), Prompt("a", "q", (1,)), [rollout])

def weights(step):
    def write(folder):
        (folder / "model.safetensors").write_bytes(bytes([step]) * 200_000)
        (folder / "trainer_state.json").write_text(str(step))
    return write

path = Path(sys.argv[1])
run = RunFolder.open(path) if (path / "config.toml").exists() else RunFolder.create(path, "a = 1")
with run.lock():
    store = CheckpointStore(run.checkpoints_dir, keep=2)
    latest = store.latest()
    first = 0
    if latest is not None:
        store.verify(latest)
        first = checkpoint_step(latest)
        assert (latest / "trainer_state.json").read_text() == str(first)
    rows = read_metrics(run.metrics_path)
    assert len(rows) >= first, "rows were lost"
    truncate_after(run.metrics_path, first)
    drop_after(run.rollouts_dir, first)
    print("ready", flush=True)
    with MetricsWriter(run.metrics_path) as metrics:
        for step in range(first, int(sys.argv[2])):
            write_rollouts(run.rollouts_dir, step, [group(step)])
            metrics.write(step, {"loss/kl": step / 7})
            if (step + 1) % 3 == 0:
                store.save(step + 1, weights(step + 1))
    write_json_atomic(run.summary_path, {"steps": int(sys.argv[2])})
"""


def _start(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _RUN, str(path), str(_STEPS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _run(path: Path) -> None:
    process = _start(path)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0, error


def _files(path: Path) -> dict[str, bytes]:
    files = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if name != "lock"}


def test_killed_at_random_moments(tmp_path: Path) -> None:
    _run(tmp_path / "whole")
    chance = random.Random(0)
    path, kills = tmp_path / "killed", 0
    for _ in range(12):
        process = _start(path)
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "ready\n":
            raise AssertionError(process.stderr.read())
        time.sleep(chance.uniform(0, 0.06))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 3
    _run(path)
    assert _files(path) == _files(tmp_path / "whole")
