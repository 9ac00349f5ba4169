"""What a run tells the person who watches it. The terminal's live view implements this protocol.

Steps are counted by the policy: step s is the rollout and the update *of* policy s, so an
evaluation at step 0 is "before" and the one at step ``config.steps`` is "after".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ponder.evals.result import EvalResult
from ponder.train.summary import Summary
from ponder.types import Group

Phase = Literal["evaluate", "rollout", "update", "checkpoint"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known before the first step. ``first_step`` is above 0 after a resume.

    ``notes`` are lines worth showing about the problems: rows that were dropped, faults found.
    """

    name: str
    run_path: Path
    model: str
    num_parameters: int
    device: str
    first_step: int
    steps: int
    prompts_per_step: int
    group_size: int
    minibatches: int
    max_completion_tokens: int
    notes: tuple[str, ...] = ()


class RunObserver(Protocol):
    """Called from the training process, in order; it must not raise and must return quickly."""

    def on_start(self, info: RunInfo) -> None:
        """Once, when the model and the problems are loaded."""

    def on_phase(self, step: int, phase: Phase) -> None:
        """Each time the run turns to something else."""

    def on_step(self, step: int, metrics: Mapping[str, float], groups: Sequence[Group]) -> None:
        """After a step: its row of metrics.jsonl, and its groups with advantages filled in."""

    def on_eval(self, step: int, result: EvalResult) -> None:
        """After an evaluation of policy ``step``; again after a resume, for the "before" result."""

    def on_alarm(self, text: str) -> None:
        """Something that a person should look at; the run goes on."""

    def on_end(self, summary: Summary) -> None:
        """Once, at the end, also when the run was asked to stop."""


class NullObserver:
    """Watches nothing."""

    def on_start(self, info: RunInfo) -> None: ...

    def on_phase(self, step: int, phase: Phase) -> None: ...

    def on_step(self, step: int, metrics: Mapping[str, float], groups: Sequence[Group]) -> None: ...

    def on_eval(self, step: int, result: EvalResult) -> None: ...

    def on_alarm(self, text: str) -> None: ...

    def on_end(self, summary: Summary) -> None: ...
