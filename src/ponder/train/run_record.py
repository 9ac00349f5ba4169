"""What the records of all trainers do alike: times, rows of metrics, checkpoints.

The order of writes makes kill -9 harmless: what a step made, then its row of metrics, then (now and
then) a checkpoint. A resume cuts the files back to the checkpoint's step (``resume.py``) and does
the rest again, alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from torch import nn

from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.runlog import CheckpointStore, MetricsWriter, RunFolder, Sink, write_json_atomic
from ponder.runlog.checkpoint import checkpoint_step
from ponder.train.kept_evaluations import KeptEvaluations
from ponder.train.observer import Phase, RunInfo, RunObserver
from ponder.train.summary import Summary

_SHORTEST_PAUSE, _SHARE = 30.0, 0.05
"""Seconds between two checkpoints, and the part of a run's time that they may take."""


class Recorded(Protocol):
    """What a record must know of a session."""

    @property
    def config(self) -> RLConfig | SFTConfig | RewardModelConfig: ...

    @property
    def first_step(self) -> int: ...

    @property
    def seconds_before(self) -> float: ...

    def save(self, folder: Path, next_step: int, seconds: float) -> None:
        """Fill a checkpoint."""


SessionT = TypeVar("SessionT", bound=Recorded)


class RunRecord(Generic[SessionT]):
    """Writes what a run does, and tells its observer. Each trainer's record adds its own rows."""

    def __init__(self, run: RunFolder, session: SessionT, observer: RunObserver) -> None:
        self.run, self.session, self.observer = run, session, observer
        self._started = self._saved = time.perf_counter()
        self._pause = _SHORTEST_PAUSE
        self._store = CheckpointStore(run.checkpoints_dir, session.config.checkpoint.keep)
        self._metrics = MetricsWriter(run.metrics_path)
        self._sinks: list[Sink] = [self._metrics]
        self._times: dict[str, float] = {}
        self._evaluations = KeptEvaluations(run)

    @property
    def seconds(self) -> float:
        """Wall time of the run up to now; see ``Summary.seconds``."""
        return self.session.seconds_before + time.perf_counter() - self._started

    @contextmanager
    def phase(self, step: int, name: Phase) -> Iterator[None]:
        """Announce a phase and take its time (``time/NAME_seconds`` of the next row)."""
        self.observer.on_phase(step, name)
        start = time.perf_counter()
        yield
        key = f"time/{name}_seconds"
        self._times[key] = self._times.get(key, 0.0) + time.perf_counter() - start

    def checkpoint(self, next_step: int) -> None:
        """Write the state after ``next_step`` steps, unless it is there."""
        latest = self._store.latest()
        if latest is not None and checkpoint_step(latest) == next_step:
            return
        began = time.perf_counter()
        with self.phase(next_step - 1, "checkpoint"):
            self._metrics.sync()
            self._store.save(
                next_step, lambda folder: self.session.save(folder, next_step, self.seconds)
            )
        self._saved = time.perf_counter()
        self._pause = max(_SHORTEST_PAUSE, (self._saved - began) / _SHARE)

    def is_checkpoint_due(self, next_step: int) -> bool:
        """Whether so many steps or so much time has gone by (``CheckpointConfig``)."""
        settings = self.session.config.checkpoint
        age = time.perf_counter() - self._saved
        if age >= 60 * settings.minutes:
            return True
        return next_step % settings.every == 0 if settings.every else age >= self._pause

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()

    def _announce(
        self,
        model: nn.Module,
        *,
        steps: int,
        prompts_per_step: int,
        group_size: int = 1,
        minibatches: int = 1,
        max_completion_tokens: int,
        notes: tuple[str, ...],
    ) -> None:
        """Tell the observer what runs, and after a resume what the first model could do."""
        parameters = list(model.parameters())
        first_step = self.session.first_step
        self.observer.on_start(
            RunInfo(
                name=self.session.config.name,
                run_path=self.run.path,
                model=self.session.config.model,
                num_parameters=sum(p.numel() for p in parameters),
                device=str(parameters[0].device),
                first_step=first_step,
                steps=steps,
                prompts_per_step=prompts_per_step,
                group_size=group_size,
                minibatches=minibatches,
                max_completion_tokens=max_completion_tokens,
                notes=notes,
            )
        )
        if first_step and (before := self._evaluations.get(0)):
            self.observer.on_eval(0, before)

    def _write(self, step: int, row: Mapping[str, float]) -> None:
        for sink in self._sinks:
            sink.write(step, row)

    def _take_times(self) -> dict[str, float]:
        """The times of the phases since the last row."""
        times, self._times = self._times, {}
        return times

    def _write_update(
        self,
        step: int,
        update: Mapping[str, float],
        evaluation: Mapping[str, float],
        num_tokens: float,
    ) -> None:
        """The row of a step that is one update on ``num_tokens`` tokens."""
        times = self._take_times()
        seconds = times["time/update_seconds"]
        row = {
            **evaluation,
            **update,
            **times,
            "time/step_seconds": seconds,
            "speed/update_tokens_per_second": num_tokens / seconds,
        }
        self._write(step, row)
        self.observer.on_step(step, row, ())

    def _model_path(self) -> Path:
        """The newest checkpoint, which the end of a run has."""
        path = self._store.latest()
        assert path is not None
        return path

    def _keep_summary(self, summary: Summary) -> None:
        if summary.finished:
            write_json_atomic(self.run.summary_path, summary.to_json())
