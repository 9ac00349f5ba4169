"""The files of a run of fine-tuning and its observer: every write of the loop goes through here.

As for reinforcement learning: the row of metrics first, then (now and then) a checkpoint; a resume
cuts the files back to the checkpoint's step and does the rest again, alike.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ponder.config.reward_model import RewardModelConfig
from ponder.config.sft import SFTConfig
from ponder.errors import PonderError
from ponder.evals.result import EvalResult
from ponder.runlog import (
    CheckpointStore,
    MetricsWriter,
    RunFolder,
    read_json,
    read_metrics,
    truncate_after,
    write_json_atomic,
)
from ponder.runlog.checkpoint import checkpoint_step
from ponder.runlog.durable import remove_stale
from ponder.train.observer import Phase, RunInfo, RunObserver
from ponder.train.sft_session import SFTSession
from ponder.train.sft_summary import SFTSummary


def prepare(run: RunFolder, config: SFTConfig | RewardModelConfig, resume: bool) -> Path | None:
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
    if run.summary_path.exists():
        steps = read_json(run.summary_path)["steps"]
        fix = f"this run is finished ({steps} of {steps} steps): nothing to resume"
        raise PonderError("resume", str(run.path), fix)
    if checkpoint is not None:
        store.verify(checkpoint)
    next_step = 0 if checkpoint is None else checkpoint_step(checkpoint)
    rows = read_metrics(run.metrics_path)
    if checkpoint is None and rows and rows[-1]["step"] >= config.checkpoint.every:
        fix = (
            f"its metrics go to step {rows[-1]['step']}, but there is no checkpoint left to go on "
            "from: put one back into checkpoints/, or start a new run in another folder"
        )
        raise PonderError("resume", str(run.path), fix)
    truncate_after(run.metrics_path, next_step)
    remove_stale(_evals_dir(run))
    for path in _evals_dir(run).glob("step_*.json"):
        if int(path.stem.removeprefix("step_")) > next_step:
            path.unlink()
    return checkpoint


class SFTRecord:
    """Writes what a run does, and tells its observer."""

    def __init__(self, run: RunFolder, session: SFTSession, observer: RunObserver) -> None:
        self.run, self.session, self.observer = run, session, observer
        self.config = session.config
        self._started = time.perf_counter()
        self._store = CheckpointStore(run.checkpoints_dir, self.config.checkpoint.keep)
        self._metrics = MetricsWriter(run.metrics_path)
        self._times: dict[str, float] = {}
        _evals_dir(run).mkdir(exist_ok=True)

    @property
    def seconds(self) -> float:
        """Wall time of the run up to now; see ``Summary.seconds``."""
        return self.session.seconds_before + time.perf_counter() - self._started

    def start(self) -> None:
        """Tell the observer what runs, and after a resume what the first model could do."""
        config, session = self.config, self.session
        parameters = list(session.learner.model.parameters())
        self.observer.on_start(
            RunInfo(
                name=config.name,
                run_path=self.run.path,
                model=config.model,
                num_parameters=sum(p.numel() for p in parameters),
                device=str(parameters[0].device),
                first_step=session.first_step,
                steps=session.steps,
                prompts_per_step=-(-len(session.samples) * config.epochs // session.steps),
                group_size=1,
                minibatches=1,
                max_completion_tokens=int(session.samples.completion_lengths.max()),
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

    def evaluate(self, step: int) -> dict[str, float]:
        """The held-out loss, and pass@1 where it is asked for, of model ``step``, if it is due.

        Results of pass@1 are kept in RUN/evals: they are not sampled again after a kill.
        """
        every = self.config.eval.every
        if step not in (0, self.session.steps) and not (every and step % every == 0):
            return {}
        metrics: dict[str, float] = {}
        with self.phase(step, "evaluate"):
            loss = self.session.heldout_loss()
            if loss is not None:
                metrics["eval/loss"] = loss
            result = self._pass1(step)
        if result is not None:
            metrics |= result.metrics()
            self.observer.on_eval(step, result)
        return metrics

    def step(self, step: int, update: Mapping[str, float], evaluation: Mapping[str, float]) -> None:
        """Write a step's row; checkpoint if it is due."""
        times, self._times = self._times, {}
        seconds = times["time/update_seconds"]
        row = {
            **evaluation,
            **update,
            **times,
            "time/step_seconds": seconds,
            "speed/update_tokens_per_second": update["sft/tokens"] / seconds,
        }
        self._metrics.write(step, row)
        self.observer.on_step(step, row, ())
        if (step + 1) % self.config.checkpoint.every == 0:
            self.checkpoint(step + 1)

    def checkpoint(self, next_step: int) -> None:
        """Write the state after ``next_step`` steps, unless it is there."""
        latest = self._store.latest()
        if latest is not None and checkpoint_step(latest) == next_step:
            return
        with self.phase(next_step - 1, "checkpoint"):
            self._store.save(
                next_step, lambda folder: self.session.save(folder, next_step, self.seconds)
            )

    def end(self, next_step: int) -> SFTSummary:
        """Checkpoint; where all steps are done evaluate and write summary.json."""
        self.checkpoint(next_step)
        finished = next_step >= self.session.steps
        if finished and (evaluation := self.evaluate(next_step)):
            self._metrics.write(next_step, evaluation)
        summary = self._summary(next_step, finished)
        if finished:
            write_json_atomic(self.run.summary_path, summary.to_json())
            shutil.rmtree(samples_dir(self.run))
        self.observer.on_end(summary)
        return summary

    def close(self) -> None:
        self._metrics.close()

    def _summary(self, next_step: int, finished: bool) -> SFTSummary:
        model_path = self._store.latest()
        assert model_path is not None
        rows = read_metrics(self.run.metrics_path)
        losses = [row["loss/total"] for row in rows if "loss/total" in row]
        heldout = [row["eval/loss"] for row in rows if "eval/loss" in row]
        return SFTSummary(
            name=self.config.name,
            steps=next_step,
            finished=finished,
            seconds=self.seconds,
            before=self._evaluation(0),
            after=self._evaluation(next_step) if finished else None,
            run_path=self.run.path,
            model_path=model_path,
            first_loss=losses[0] if losses else None,
            last_loss=losses[-1] if losses else None,
            heldout_loss=(heldout[0], heldout[-1]) if heldout else None,
            data=self.session.figures,
        )

    def _pass1(self, step: int) -> EvalResult | None:
        if self.session.pass1 is None:
            return None
        result = self._evaluation(step)
        if result is None:
            result = self.session.pass1.measure()
            write_json_atomic(self._eval_path(step), result.to_json())
        return result

    def _eval_path(self, step: int) -> Path:
        return _evals_dir(self.run) / f"step_{step:06d}.json"

    def _evaluation(self, step: int) -> EvalResult | None:
        path = self._eval_path(step)
        return EvalResult.from_json(read_json(path)) if path.exists() else None


def samples_dir(run: RunFolder) -> Path:
    """Where the samples lie until the run is finished."""
    return run.path / "samples"


def _evals_dir(run: RunFolder) -> Path:
    return run.path / "evals"
