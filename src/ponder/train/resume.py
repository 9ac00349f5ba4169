"""Where a run goes on, with its files cut back to that step."""

from __future__ import annotations

from pathlib import Path

from ponder.config.rl import CheckpointConfig
from ponder.errors import PonderError
from ponder.runlog import (
    CheckpointStore,
    RunFolder,
    drop_after,
    read_json,
    read_metrics,
    truncate_after,
)
from ponder.runlog.checkpoint import checkpoint_step
from ponder.train.kept_evaluations import KeptEvaluations


def prepare(
    run: RunFolder, checkpoint: CheckpointConfig, resume: bool, steps: int | None = None
) -> Path | None:
    """The checkpoint to go on from (None: from the start), with the files cut back to its step.

    Args:
        steps: of the config, where they may be raised after the end of a run; None: a run that has
            a summary is finished.

    Raises:
        PonderError: a run is there already and ``resume`` is False; or the run is finished; or the
            newest checkpoint is damaged, or all of them are gone.
    """
    store = CheckpointStore(run.checkpoints_dir, checkpoint.keep)
    if not resume and (run.metrics_path.exists() or store.latest()):
        fix = "this folder holds a run: resume it (ponder train --resume), or name another folder"
        raise PonderError("out", str(run.path), fix)
    store.clean()
    latest, next_step = store.latest(), 0
    if latest is not None:
        store.verify(latest)
        next_step = checkpoint_step(latest)
    _refuse_finished(run, next_step, steps)
    if latest is None:
        _refuse_lost_checkpoints(run, checkpoint.every)
    run.summary_path.unlink(missing_ok=True)
    truncate_after(run.metrics_path, next_step)
    truncate_after(run.alarms_path, next_step)
    drop_after(run.rollouts_dir, next_step)
    KeptEvaluations(run).cut_back(next_step, resume)
    return latest


def _refuse_finished(run: RunFolder, next_step: int, steps: int | None) -> None:
    if not run.summary_path.exists():
        return
    if steps is None:
        next_step = steps = read_json(run.summary_path)["steps"]
    if next_step >= steps:
        fix = f"this run is finished ({next_step} of {steps} steps): nothing to resume"
        raise PonderError("resume", str(run.path), fix)


def _refuse_lost_checkpoints(run: RunFolder, every: int) -> None:
    """Beginning again would delete the rest of a run that once had a checkpoint."""
    rows = read_metrics(run.metrics_path)
    was_written = any("time/checkpoint_seconds" in row for row in rows)  # by minutes, say
    if was_written or (every and rows and rows[-1]["step"] >= every):
        fix = (
            f"its metrics go to step {rows[-1]['step']}, but there is no checkpoint left to go on "
            "from: put one back into checkpoints/, or start a new run in another folder"
        )
        raise PonderError("resume", str(run.path), fix)
