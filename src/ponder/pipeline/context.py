"""What a stage is given, how it says how far it is, and the two ways to end without being done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ponder.config.base import Config
from ponder.errors import PonderError
from ponder.runlog import RunFolder, read_metrics
from ponder.train.observer import NullObserver, RunObserver
from ponder.train.summary import Summary

ConfigT = TypeVar("ConfigT", bound=Config)
Trainer = Callable[[ConfigT, RunFolder, bool, RunObserver, Callable[[], bool]], Summary]
"""(config, folder, resume, observer, should_stop) -> how it ended: ``train``, ``fine_tune``, ..."""


class Stopped(Exception):  # noqa: N818 - no error: the person asked for it
    """Raised by a stage that was asked to stop, when all it needs to go on is on the disk."""


class Waiting(PonderError):  # noqa: N818 - of the person, not of the stage
    """Raised by a stage that a person must do something for (mark rows in a file, say) first."""


class StageView(Protocol):
    """Where a stage says how far it is. Calls return quickly and never raise."""

    def training(
        self, earlier_rows: Sequence[Mapping[str, float]]
    ) -> AbstractContextManager[RunObserver]:
        """An observer for a trainer, shown for as long as the context lasts."""

    def progress(self, done: int, total: int, text: str) -> None:
        """How far a stage without a trainer is: ``done`` of ``total``, and what it does."""

    def note(self, text: str) -> None:
        """One line worth telling."""


class NullView:
    """Shows nothing."""

    def training(
        self, earlier_rows: Sequence[Mapping[str, float]]
    ) -> AbstractContextManager[RunObserver]:
        return nullcontext(NullObserver())

    def progress(self, done: int, total: int, text: str) -> None: ...

    def note(self, text: str) -> None: ...


def never() -> bool:
    """A ``should_stop`` that is never True."""
    return False


@dataclass(frozen=True)
class StageContext:
    """A stage that is to run: its settings, its folder, its inputs on the disk.

    ``inputs`` has the paths of every input by name: of a model the Hugging Face folder (of a
    stage: its newest checkpoint), of rows and tables the file. ``yes``: nothing waits for a person.
    """

    name: str
    key: str
    config: Config
    folder: Path
    inputs: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    yes: bool = False
    view: StageView = field(default_factory=NullView)
    should_stop: Callable[[], bool] = never

    def input(self, name: str) -> Path:
        """The one path of an input that must be there."""
        (path,) = self.inputs[name]
        return path

    def optional(self, name: str) -> Path | None:
        """The one path of an input, or None."""
        paths = self.inputs.get(name, ())
        return paths[0] if paths else None

    def all(self, name: str) -> tuple[Path, ...]:
        """All paths of an input, in the recipe's order."""
        return self.inputs.get(name, ())

    def stop_if_asked(self) -> None:
        """Raise ``Stopped`` if the person asked for the end; call it where all is on the disk."""
        if self.should_stop():
            raise Stopped(self.name)

    def open_run(self, config_toml: str) -> tuple[RunFolder, bool]:
        """The stage's folder as a run folder, and whether a run was begun in it before."""
        run = RunFolder(self.folder)
        if run.config_path.is_file():
            for part in (run.rollouts_dir, run.checkpoints_dir):
                part.mkdir(exist_ok=True)
            return run, True
        return RunFolder.create(self.folder, config_toml), False

    def train(
        self, trainer: Trainer[ConfigT], config: ConfigT, folder: RunFolder, resume: bool
    ) -> None:
        """Train in ``folder``, shown in the stage's view, from where an earlier process was.

        Raises:
            Stopped: the person asked for the end before the run's own.
        """
        earlier = read_metrics(folder.metrics_path) if resume else ()
        with self.view.training(earlier) as observer:
            summary = trainer(config, folder, resume, observer, self.should_stop)
        if not summary.finished:
            raise Stopped(self.name)

    def settings(self, update: Mapping[str, Any]) -> Config:
        """The config with some of its top-level keys replaced (``model`` by an input, say)."""
        return self.config.model_copy(update=dict(update))
