"""kill -9 at any moment, then resume: the same files as a run that was never killed.

The run is killed before its first system call that opens, renames or removes something, before its
second, and so on to its last: at every state that the folder can be left in, but for files cut in
their middle (those are in test_metrics_file.py and test_checkpoint_store.py).
"""

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from tests.forks import CHANGES, die_before, forked

from ponder.runlog import (
    CheckpointStore,
    MetricsWriter,
    RunFolder,
    append_alarm,
    drop_after,
    read_metrics,
    truncate_after,
    write_json_atomic,
    write_rollouts,
)
from ponder.runlog.checkpoint import checkpoint_step
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

_STEPS = 3
_EVENTS = CHANGES | {"open"}


def _group(step: int) -> Group:
    completion = Completion("a", 0, [step], f"step {step}", [-1.0], "stop")
    rollout = Rollout(completion, Judgement(Verdict.CORRECT), {"accuracy": 1.0}, 1.0)
    return Group(Problem("a", "q", "1"), Prompt("a", "q", (1,)), [rollout])


def _weights(step: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(bytes([step]) * 20_000)
        (folder / "trainer_state.json").write_text(str(step))

    return write


def _run(path: Path) -> None:
    """What a trainer does: go on from the newest checkpoint, if there is one."""
    is_old = (path / "config.toml").exists()
    run = RunFolder.open(path) if is_old else RunFolder.create(path, "a = 1")
    with run.lock():
        store = CheckpointStore(run.checkpoints_dir, keep=1)
        first, latest = 0, store.latest()
        if latest is not None:
            store.verify(latest)
            first = checkpoint_step(latest)
            assert (latest / "trainer_state.json").read_text() == str(first)
        rows = len(read_metrics(run.metrics_path))
        assert rows >= first, "rows were lost"
        due = [step + 1 for step in range(0, rows - 1, 2)]  # saved before the last row was written
        assert first >= max(due, default=0), "a checkpoint was lost"
        truncate_after(run.metrics_path, first)
        truncate_after(run.alarms_path, first)
        drop_after(run.rollouts_dir, first)
        with MetricsWriter(run.metrics_path) as metrics:
            for step in range(first, _STEPS):
                write_rollouts(run.rollouts_dir, step, [_group(step)])
                metrics.write(step, {"loss/kl": step / 7})
                append_alarm(run.alarms_path, step, "test", "x")
                if step % 2 == 0:
                    store.save(step + 1, _weights(step + 1))
            store.save(_STEPS, _weights(_STEPS))  # at the end, as a trainer does: a second time
        write_json_atomic(run.summary_path, {"steps": _STEPS})


def _in_child(path: Path, kill_at: int | None) -> bool:
    """Run in a forked process that dies before its event number ``kill_at``; whether it ended."""

    def work() -> None:
        if kill_at is not None:
            die_before(kill_at, _EVENTS)
        _run(path)

    status = forked(work)
    assert status in (0, -signal.SIGKILL), "the run failed: see its traceback"
    for manifest in path.glob("checkpoints/*/manifest.json"):
        CheckpointStore(path / "checkpoints").verify(manifest.parent)
    return status == 0


def _files(path: Path) -> dict[str, bytes]:
    files = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if name != "lock"}


def test_killed_at_every_step_of_the_way(folder: Path) -> None:
    assert _in_child(folder / "whole", None)
    expected = _files(folder / "whole")
    chance, kill_at, ended = random.Random(0), 0, False
    while not ended:
        kill_at += 1
        path = folder / str(kill_at)
        ended = _in_child(path, kill_at)
        if not ended:
            if kill_at % 2:  # and once more in the middle of the resume
                _in_child(path, chance.randint(1, 40))
            assert _in_child(path, None)
        assert _files(path) == expected, f"killed before event {kill_at}"
        shutil.rmtree(path)
    assert kill_at > 80
