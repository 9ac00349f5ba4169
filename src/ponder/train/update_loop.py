"""The loop of fine-tuning and of reward models, where a step is one update on given texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from ponder.train import guards
from ponder.train.observer import Phase
from ponder.train.summary import Summary

SummaryT = TypeVar("SummaryT", bound=Summary, covariant=True)


class UpdateSession(Protocol):
    """What is trained."""

    @property
    def first_step(self) -> int: ...

    @property
    def steps(self) -> int: ...

    def update(self, step: int) -> dict[str, float]:
        """The update of a step; its metrics. GuardError where it is broken."""


class UpdateRecord(Protocol[SummaryT]):
    """Where it is written down: a ``RunRecord`` with rows of its own."""

    def start(self) -> None:
        """Tell the observer what runs."""

    def phase(self, step: int, name: Phase) -> AbstractContextManager[None]:
        """Announce a phase and take its time."""

    def evaluate(self, step: int) -> Mapping[str, float]:
        """The metrics of model ``step`` on what is held out, if it is due."""

    def step(self, step: int, update: Mapping[str, float], evaluation: Mapping[str, float]) -> None:
        """Write a step's row; checkpoint if it is due."""

    def end(self, next_step: int) -> SummaryT:
        """Checkpoint; where all steps are done evaluate and write summary.json."""


def run_updates(
    session: UpdateSession, record: UpdateRecord[SummaryT], should_stop: Callable[[], bool]
) -> SummaryT:
    """Every step that is left, or as many as there are until ``should_stop``; then the end."""
    record.start()
    step, stopped = session.first_step, False
    while step < session.steps:
        evaluation = record.evaluate(step)
        if stopped := should_stop():
            break
        with record.phase(step, "update"):
            metrics = session.update(step)
        record.step(step, metrics, evaluation)
        step += 1
    guards.check_progress(session.first_step, step, session.steps, stopped)
    return record.end(step)
