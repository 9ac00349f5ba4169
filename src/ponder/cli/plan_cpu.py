"""The times of `ponder plan` on a CPU: of a step at the pace that was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table
from rich.text import Text

from ponder.config.rl import RLConfig
from ponder.pipeline.paces import MeasuredPaces
from ponder.pipeline.stages.timed import rl_work
from ponder.plan.duration import Times
from ponder.plan.fit import Plan
from ponder.plan.pace import Lengths, SamplingPace, TrainingPace, lengths, step_times


@dataclass(frozen=True, slots=True)
class StepPace:
    """How fast the recipe's model samples and learns here."""

    sampling: SamplingPace
    training: TrainingPace

    @property
    def prompt_tokens(self) -> int:
        return self.sampling.prompt_tokens


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of a step by part: of completions as long as expected, and as long as allowed."""

    long: Lengths
    expected: Times
    most: Times

    def to_json(self) -> dict[str, Any]:
        """What it adds to the plan's JSON."""
        return {
            "seconds": self.expected,
            "step_seconds": sum(self.expected.values()),
            "most_seconds": self.most,
            "most_step_seconds": sum(self.most.values()),
            "mean_tokens": self.long.expected,
        }


def measured_step(config: RLConfig, paces: MeasuredPaces) -> StepPace | None:
    """Measured in a few seconds; None where it cannot be (``paces.refused`` says why)."""
    work = rl_work(config)
    sampling = paces.sampling(config.model, work)
    training = None if sampling is None else paces.training(config.model, work)
    return StepPace(sampling, training) if sampling and training else None


def on_this_cpu(plan: Plan, pace: StepPace, mean_tokens: float | None) -> StepTimes:
    """What a step takes; ``mean_tokens``: what the person says of its completions, if anything."""
    demand = replace(plan.demand, prompt_tokens=pace.prompt_tokens)
    long = lengths(pace.sampling, pace.sampling.model, demand.limit, will_change=True)
    if mean_tokens is not None:
        long = replace(long, expected=min(mean_tokens, demand.limit))
    expected, most = (
        step_times(pace.sampling, pace.training, demand, mean)
        for mean in (long.expected, long.most)
    )
    return StepTimes(long, expected, most)


def cpu_times(times: StepTimes) -> Table:
    """A line a part."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("time, seconds", style="bold", no_wrap=True, min_width=20)
    for name in ("expected", "at most"):
        table.add_column(name, justify="right")
    for part, seconds in times.expected.items():
        table.add_row(Text(part), f"{seconds:.2f}", f"{times.most[part]:.2f}")
    totals = (f"{sum(both.values()):.2f}" for both in (times.expected, times.most))
    table.add_row(Text("a step"), *totals, style="bold")
    tokens = (f"{mean:,.0f}" for mean in (times.long.expected, times.long.most))
    table.add_row(Text("completion, tokens"), *tokens)
    return table
