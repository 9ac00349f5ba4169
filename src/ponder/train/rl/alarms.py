"""Alarms: signs that a run has gone wrong in a way that is no bug. The run goes on.

Each alarm is a pure function of a step's row of metrics and of the first step's row, so that a
resumed run raises exactly the alarms of an uninterrupted one. An alarm sounds when its condition
begins to hold and is silent until it has stopped holding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Alarm:
    """A named condition on (row, first row), and what it means to the person who reads it."""

    name: str
    holds: Callable[[Row, Row], bool]
    meaning: str


ENTROPY_SHARE = 0.1
LENGTH_SHARE = 0.25
MISMATCH_NATS = 0.02

ALARMS = (
    Alarm(
        "zero_variance",
        lambda row, first: row.get("rollout/zero_variance_fraction", 0.0) == 1.0,
        "every group has equal rewards: this step taught nothing; the problems are all too hard "
        "or all too easy (see rollout/solve_none_fraction and rollout/solve_all_fraction)",
    ),
    Alarm(
        "truncation",
        lambda row, first: row.get("rollout/truncated_fraction", 0.0) > 0.5,
        "more than half of the completions were cut at sampling.max_completion_tokens: raise it",
    ),
    Alarm(
        "entropy_collapse",
        lambda row, first: _fell_below(row, first, "rollout/entropy", ENTROPY_SHARE),
        f"entropy fell below {ENTROPY_SHARE:.0%} of the first step's: groups will become equal; "
        "try a lower learning rate, a higher clip_high or a kl_coef",
    ),
    Alarm(
        "mismatch",
        lambda row, first: row.get("policy/mismatch_mean", 0.0) > MISMATCH_NATS,
        f"sampler and trainer log-probabilities differ by more than {MISMATCH_NATS} nats per token "
        "on average: the generator's numerics or weights are not the trainer's",
    ),
    Alarm(
        "verifier_errors",
        lambda row, first: row.get("rollout/error_fraction", 0.0) > 0.05,
        "more than 5 % of the verdicts are errors: bad reference answers or a crashing verifier; "
        "look at the reasons in rollouts/",
    ),
    Alarm(
        "length_collapse",
        lambda row, first: _fell_below(row, first, "rollout/mean_tokens", LENGTH_SHARE),
        f"completions are shorter than {LENGTH_SHARE:.0%} of the first step's: the policy has "
        "stopped reasoning, or the loss favours short completions (see algorithm.normalise)",
    ),
)


def new_alarms(rows: Sequence[Row]) -> list[Alarm]:
    """The alarms whose condition holds on the last of a run's rows and not on the one before it."""
    first, row = rows[0], rows[-1]
    before = {a.name for a in ALARMS if len(rows) > 1 and a.holds(rows[-2], first)}
    return [a for a in ALARMS if a.name not in before and a.holds(row, first)]


def _fell_below(row: Row, first: Row, key: str, share: float) -> bool:
    return key in row and key in first and row[key] < share * first[key]
