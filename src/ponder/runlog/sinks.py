"""Optional places that metrics also go to. The run folder stays the source of truth."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from ponder.errors import PonderError


class Sink(Protocol):
    """Somewhere that rows of metrics go."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoardSink:
    """TensorBoard events under ``folder``; events from ``next_step`` on, of before, are hidden."""

    def __init__(self, folder: Path, next_step: int = 0) -> None:
        self._events = _import("tensorboard.compat.proto.event_pb2", "log.tensorboard")
        self._summaries = _import("tensorboard.compat.proto.summary_pb2", "log.tensorboard")
        files = _import("tensorboard.summary.writer.event_file_writer", "log.tensorboard")
        self._writer = files.EventFileWriter(str(folder))
        start = self._events.SessionLog(status=self._events.SessionLog.START)
        self._add(next_step, session_log=start)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        value = self._summaries.Summary.Value
        values = [value(tag=key, simple_value=float(item)) for key, item in metrics.items()]
        self._add(step, summary=self._summaries.Summary(value=values))

    def close(self) -> None:
        self._writer.close()

    def _add(self, step: int, **content: Any) -> None:
        self._writer.add_event(self._events.Event(wall_time=time.time(), step=step, **content))
        self._writer.flush()


class WandbSink:
    """A Weights & Biases run; the same ``run_id`` continues the same run after a resume."""

    def __init__(
        self, project: str, name: str, folder: Path, config: Mapping[str, Any], run_id: str
    ) -> None:
        wandb = _import("wandb", "log.wandb_project")
        self._run = wandb.init(
            project=project,
            name=name,
            dir=str(folder),
            config=dict(config),
            id=run_id,
            resume="allow",
        )
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log({"step": step, **metrics})

    def close(self) -> None:
        self._run.finish()


def _import(module: str, field: str) -> ModuleType:
    extra = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        fix = f"{extra} is not installed; pip install 'ponder[{extra}]', or switch this off"
        raise PonderError(field, module, fix) from error
