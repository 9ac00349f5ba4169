"""A run's files and its observer: every write of the loop goes through here.

The order of writes makes kill -9 harmless: rollouts, then the row of metrics, then (now and then) a
checkpoint. A resume cuts the files back to the checkpoint's step and does the rest again, alike.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ponder.config.rl import RLConfig
from ponder.errors import AlarmError, PonderError
from ponder.evals.result import EvalResult
from ponder.rollout.stats import rollout_metrics
from ponder.runlog import (
    CheckpointStore,
    MetricsWriter,
    RunFolder,
    Sink,
    TensorBoardSink,
    WandbSink,
    append_alarm,
    drop_after,
    read_json,
    read_metrics,
    truncate_after,
    write_json_atomic,
    write_rollouts,
)
from ponder.runlog.checkpoint import checkpoint_step
from ponder.runlog.durable import remove_stale
from ponder.train import parting
from ponder.train.alarms import new_alarms
from ponder.train.collect import Collected
from ponder.train.observer import Phase, RunInfo, RunObserver
from ponder.train.session import Session
from ponder.train.summary import Summary


def prepare(run: RunFolder, config: RLConfig, resume: bool) -> Path | None:
    """The checkpoint to go on from (None: from the start), with the files cut back to its step.

    Raises:
        PonderError: a run is there already and ``resume`` is False; or the run is finished; or the
            newest checkpoint is damaged, or all of them are gone.
    """
    store = CheckpointStore(run.checkpoints_dir, config.checkpoint.keep)
    if not resume and (run.metrics_path.exists() or store.latest()):
        fix = "this folder holds a run: resume it (ponder train --resume), or name another folder"
        raise PonderError("out", str(run.path), fix)
    store.clean()
    checkpoint = store.latest()
    next_step = 0
    if checkpoint is not None:
        store.verify(checkpoint)
        next_step = checkpoint_step(checkpoint)
    if run.summary_path.exists() and next_step >= config.steps:
        fix = f"this run is finished ({next_step} of {config.steps} steps): nothing to resume"
        raise PonderError("resume", str(run.path), fix)
    if checkpoint is None:
        _refuse_lost_checkpoints(run, config)
    run.summary_path.unlink(missing_ok=True)
    truncate_after(run.metrics_path, next_step)
    truncate_after(run.alarms_path, next_step)
    drop_after(run.rollouts_dir, next_step)
    remove_stale(_evals_dir(run))
    for path in _evals_dir(run).glob("step_*.json"):
        if not resume or int(path.stem.removeprefix("step_")) > next_step:
            path.unlink()
    return checkpoint


def _refuse_lost_checkpoints(run: RunFolder, config: RLConfig) -> None:
    """Beginning again would delete the rollouts of a run that once had a checkpoint."""
    rows = read_metrics(run.metrics_path)
    if rows and rows[-1]["step"] >= config.checkpoint.every:
        fix = (
            f"its metrics go to step {rows[-1]['step']}, but there is no checkpoint left to go on "
            "from: put one back into checkpoints/, or start a new run in another folder"
        )
        raise PonderError("resume", str(run.path), fix)


class Record:
    """Writes what a run does, and tells its observer."""

    def __init__(self, run: RunFolder, session: Session, observer: RunObserver) -> None:
        self.run, self.session, self.observer = run, session, observer
        self.config = session.config
        self._started = time.perf_counter()
        self._store = CheckpointStore(run.checkpoints_dir, self.config.checkpoint.keep)
        rows = read_metrics(run.metrics_path)
        self._first_row = rows[0] if rows else None
        self._previous_row = rows[-1] if rows else None
        self._rows: list[Mapping[str, float]] = list(rows)
        self._metrics = MetricsWriter(run.metrics_path)
        self._sinks: list[Sink] = [self._metrics, *_sinks(run, self.config, session.first_step)]
        self._times: dict[str, float] = {}
        _evals_dir(run).mkdir(exist_ok=True)

    @property
    def seconds(self) -> float:
        """Wall time of the run up to now; see ``Summary.seconds``."""
        return self.session.seconds_before + time.perf_counter() - self._started

    def start(self) -> None:
        """Tell the observer what runs, and after a resume what the first policy could do."""
        config, session = self.config, self.session
        parameters = list(session.policy.model.parameters())
        self.observer.on_start(
            RunInfo(
                name=config.name,
                run_path=self.run.path,
                model=config.model,
                num_parameters=sum(p.numel() for p in parameters),
                device=str(parameters[0].device),
                first_step=session.first_step,
                steps=config.steps,
                prompts_per_step=config.batch.prompts_per_step,
                group_size=config.batch.group_size,
                minibatches=config.batch.minibatches,
                max_completion_tokens=config.sampling.max_completion_tokens,
                notes=session.notes,
            )
        )
        if session.first_step and (before := self._evaluation(0)):
            self.observer.on_eval(0, before)

    @contextmanager
    def phase(self, step: int, name: Phase) -> Iterator[None]:
        """Announce a phase and take its time (``time/NAME_seconds`` of the next row)."""
        self.observer.on_phase(step, name)
        start = time.perf_counter()
        yield
        key = f"time/{name}_seconds"
        self._times[key] = self._times.get(key, 0.0) + time.perf_counter() - start

    def evaluate(self, step: int) -> EvalResult | None:
        """Evaluate policy ``step`` if it is due (first, last, every ``eval.every``), once.

        The result is kept in RUN/evals: a run that was killed between an evaluation and the next
        checkpoint doesn't do it again.
        """
        settings = self.config.eval
        due = step in (0, self.config.steps) or (settings.every and step % settings.every == 0)
        if not settings.num_problems or not due:
            return None
        result = self._evaluation(step)
        if result is None:
            with self.phase(step, "evaluate"):
                result = self.session.evaluate()
            write_json_atomic(self._eval_path(step), result.to_json())
        self.observer.on_eval(step, result)
        return result

    def step(
        self,
        step: int,
        collected: Collected,
        update: Mapping[str, float],
        evaluation: EvalResult | None,
    ) -> None:
        """Write a step's rollouts and its row; sound the alarms; checkpoint if it is due.

        Raises:
            AlarmError: a preference reward is being hacked (``parting``), and the config wants the
                run to end then; the checkpoint of this step is there.
        """
        write_rollouts(self.run.rollouts_dir, step, collected.groups)
        row = {
            **(evaluation.metrics() if evaluation else {}),
            **rollout_metrics(collected.groups),
            **update,
            **self._take_times(collected),
        }
        self._write(step, row)
        self.observer.on_step(step, row, collected.groups)
        self._first_row = self._first_row or row
        for alarm in new_alarms(row, self._previous_row, self._first_row):
            append_alarm(self.run.alarms_path, step, alarm.name, alarm.meaning)
            self.observer.on_alarm(f"step {step}: {alarm.meaning}")
        self._previous_row = row
        seen = self._look_for_hacking(step, row)
        if seen or (step + 1) % self.config.checkpoint.every == 0:
            self.checkpoint(step + 1)
        if seen and self.config.preference.stop:
            raise AlarmError(f"step {step}: {seen}. {self._what_now(step + 1)}")

    def _look_for_hacking(self, step: int, row: Mapping[str, float]) -> str:
        """Sound that alarm where it begins to hold; what it says, or ""."""
        steps = self.config.steps
        num_general = steps - self.config.preference.first_step(steps)
        held = bool(self._rows) and bool(parting.parted(self._rows, num_general))
        self._rows.append(row)
        seen = parting.parted(self._rows, num_general)
        if not seen or held:
            return ""
        append_alarm(self.run.alarms_path, step, parting.NAME, seen)
        self.observer.on_alarm(f"step {step}: {seen}")
        return seen

    def _what_now(self, next_step: int) -> str:
        return (
            f"The checkpoint of step {next_step} in {self.run.checkpoints_dir} is kept, as are "
            "older ones (checkpoint.keep). Use a model from before, a later preference.start, a "
            "smaller reward.preference or a better reward model; resuming this run goes on all the "
            "same, and preference.stop=false only sounds the alarm"
        )

    def checkpoint(self, next_step: int) -> None:
        """Write the state after ``next_step`` steps, unless it is there."""
        latest = self._store.latest()
        if latest is not None and checkpoint_step(latest) == next_step:
            return
        with self.phase(next_step - 1, "checkpoint"):
            self._store.save(
                next_step, lambda folder: self.session.save(folder, next_step, self.seconds)
            )

    def end(self, next_step: int) -> Summary:
        """Checkpoint; where all steps are done evaluate and write summary.json."""
        self.checkpoint(next_step)
        finished = next_step >= self.config.steps
        after = self.evaluate(next_step) if finished else None
        if after is not None:
            self._write(next_step, after.metrics())
        model_path = self._store.latest()
        assert model_path is not None
        summary = Summary(
            name=self.config.name,
            steps=next_step,
            finished=finished,
            seconds=self.seconds,
            before=self._evaluation(0),
            after=after,
            run_path=self.run.path,
            model_path=model_path,
        )
        if finished:
            write_json_atomic(self.run.summary_path, summary.to_json())
        self.observer.on_end(summary)
        return summary

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()

    def _write(self, step: int, row: Mapping[str, float]) -> None:
        for sink in self._sinks:
            sink.write(step, row)

    def _take_times(self, collected: Collected) -> dict[str, float]:
        times, self._times = self._times, {}
        sampled = sum(r.num_tokens for group in collected.groups for r in group.rollouts)
        trained = sum(r.num_tokens for group in collected.chosen for r in group.rollouts)
        rollout, update = times["time/rollout_seconds"], times["time/update_seconds"]
        return {
            **times,
            "time/step_seconds": rollout + update,
            "speed/rollout_tokens_per_second": sampled / rollout,
            "speed/update_tokens_per_second": trained / update,
        }

    def _eval_path(self, step: int) -> Path:
        return _evals_dir(self.run) / f"step_{step:06d}.json"

    def _evaluation(self, step: int) -> EvalResult | None:
        path = self._eval_path(step)
        return EvalResult.from_json(read_json(path)) if path.exists() else None


def _evals_dir(run: RunFolder) -> Path:
    return run.path / "evals"


def _sinks(run: RunFolder, config: RLConfig, next_step: int) -> list[Sink]:
    sinks: list[Sink] = []
    if config.log.tensorboard:
        sinks.append(TensorBoardSink(run.path / "tensorboard", next_step))
    if config.log.wandb_project:
        run_id = hashlib.sha256(str(run.path.resolve()).encode()).hexdigest()[:12]
        settings = config.model_dump(mode="json")
        sinks.append(WandbSink(config.log.wandb_project, config.name, run.path, settings, run_id))
    return sinks
