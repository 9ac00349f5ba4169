"""What a person watching a run needs to know, gathered from its events; no drawing here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ponder.evals.result import EvalResult
from ponder.train.observer import Phase, RunInfo
from ponder.train.summary import Summary
from ponder.types import Group, Rollout, Verdict

CURVES = (
    "reward/accuracy",
    "reward/mean",
    "rollout/mean_tokens",
    "text/reflective_words_per_completion",
    "loss/total",
    "eval/loss",
    "preference/accuracy",
    "distil/reverse_kl",
)
"""The metrics whose history is drawn."""

_STEPS_FOR_ETA = 10


@dataclass(frozen=True, slots=True)
class ShownSample:
    """The completion that is shown of a step."""

    step: int
    question: str
    rollout: Rollout


def choose_sample(step: int, groups: Sequence[Group]) -> ShownSample | None:
    """The first rollout of the step's first problem: a rule that does not look at the outcome.

    A rollout whose verdict is ``error`` is passed over; None if there is no other.
    """
    for group in groups:
        for rollout in group.rollouts:
            if rollout.judgement.verdict is not Verdict.ERROR:
                return ShownSample(step, group.problem.question, rollout)
    return None


@dataclass
class Watch:
    """A RunObserver that remembers. The views draw it."""

    clock: Callable[[], float] = time.monotonic
    info: RunInfo | None = None
    phase: Phase | None = None
    num_done: int = 0
    """Steps done, those before a resume included."""
    row: Mapping[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=lambda: {key: [] for key in CURVES})
    evals: dict[int, EvalResult] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    sample: ShownSample | None = None
    summary: Summary | None = None
    earlier_rows: Sequence[Mapping[str, float]] = ()
    """Rows of metrics.jsonl of the run that is resumed; those before its first step are drawn."""
    stopping: bool = False
    """Set when the person asked for the end of the run."""

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._step_ends: deque[float] = deque(maxlen=_STEPS_FOR_ETA + 1)
        self._eval_began: float | None = None
        self.eval_seconds = 0.0

    def on_start(self, info: RunInfo) -> None:
        """Keep what is known of the run."""
        self.info = info
        self.num_done = info.first_step
        for row in self.earlier_rows:
            if row["step"] < info.first_step:
                self._extend_curves(row)

    def on_phase(self, step: int, phase: Phase) -> None:
        """Keep the phase; time evaluations and the first rollout apart from the steps."""
        self.phase = phase
        if phase == "evaluate":
            self._eval_began = self.clock()
        if phase == "rollout" and not self._step_ends:
            self._step_ends.append(self.clock())

    def on_step(self, step: int, metrics: Mapping[str, float], groups: Sequence[Group]) -> None:
        """Keep the row, its curves and one completion."""
        self.num_done = step + 1
        self.row = metrics
        self._extend_curves(metrics)
        self.sample = choose_sample(step, groups) or self.sample
        self._step_ends.append(self.clock())

    def on_eval(self, step: int, result: EvalResult) -> None:
        """Keep the result."""
        self.evals[step] = result
        if self._eval_began is not None:
            self.eval_seconds = self.clock() - self._eval_began
            self._eval_began = None

    def on_alarm(self, text: str) -> None:
        """Keep the alarm (its text names the step)."""
        self.alarms.append(text)

    def on_end(self, summary: Summary) -> None:
        """Keep the summary."""
        self.summary = summary
        self.phase = None

    def on_stop(self) -> None:
        """The person asked for the end of the run."""
        self.stopping = True

    def _extend_curves(self, row: Mapping[str, float]) -> None:
        for key, curve in self.curves.items():
            if key in row:
                curve.append(row[key])

    @property
    def elapsed(self) -> float:
        """Seconds since the watch began."""
        return self.clock() - self.started

    @property
    def eta(self) -> float | None:
        """Seconds to the end at the pace of the last steps (evaluations included), or None."""
        if self.info is None or len(self._step_ends) < 2:
            return None
        pace = (self._step_ends[-1] - self._step_ends[0]) / (len(self._step_ends) - 1)
        since = self.clock() - self._step_ends[-1]
        remaining = (self.info.steps - self.num_done) * pace - min(since, pace)
        last_eval = self.eval_seconds if self.summary is None else 0.0
        return max(0.0, remaining) + last_eval
