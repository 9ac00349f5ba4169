"""The alarm that a preference reward is being hacked: it rises while reasoning accuracy falls.

DeepSeek saw exactly that where preference rewards were given for too long, and gave them in the
last 400 of 1,700 updates only (arXiv 2501.12948 v2, 3.2.2 and its figure on reward hacking).
The paper has no rule for when to stop; this one is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import stdev

from ponder.types import PREFERENCES

Row = Mapping[str, float]

NAME = "preference_hacking"
LONGEST_WINDOW = 20
SHORTEST_WINDOW = 5
WINDOWS = 4
"""A window is so many-th part of the steps with general problems, between those two."""
RISE = 3.0
"""Standard errors by which a preference reward must have risen."""
FALL = 4.0
"""Standard errors by which reasoning accuracy must have fallen: more, for a healthy run's
preference reward rises all the time, so that nothing else keeps chance from ending it."""
LEAST_FALL = 0.02
"""And at least so much of accuracy: with enough samples any trifle is beyond noise."""


def window_of(num_steps: int) -> int:
    """The steps of a window where so many steps have general problems."""
    return min(LONGEST_WINDOW, max(SHORTEST_WINDOW, num_steps // WINDOWS))


def parted(rows: Sequence[Row], num_steps: int) -> str:
    """Whether the last row of a run shows that they have parted: what to say, or "".

    The last window of steps is compared with all earlier steps that had general problems (one more
    window at least). Of each side the mean over steps; its standard error is the larger of two:
    from the errors within steps (over problems), and from the spread between steps.

    Args:
        rows: the run's metrics, of one row a step.
        num_steps: how many steps of the run have general problems.
    """
    window = window_of(num_steps)
    for name in PREFERENCES:
        key = f"preference/{name}"
        known = [row for row in rows if f"{key}_mean" in row and "rollout/pass_rate" in row]
        if len(known) < 2 * window or known[-1] is not rows[-1]:
            continue
        sides = known[:-window], known[-window:]
        rise, rise_error = _change(sides, f"{key}_mean", f"{key}_stderr")
        change, change_error = _change(sides, "rollout/pass_rate", "rollout/pass_rate_stderr")
        fall = -change
        if rise > RISE * rise_error and fall > max(FALL * change_error, LEAST_FALL):
            return (
                f"the {name} reward rose by {rise:.3f} +- {rise_error:.3f} while reasoning "
                f"accuracy fell by {fall:.3f} +- {change_error:.3f} (the last {window} steps "
                f"against the {len(sides[0])} before them that had general problems): the policy "
                "learns to please the reward model"
            )
    return ""


def _change(
    sides: tuple[Sequence[Row], Sequence[Row]], mean: str, stderr: str
) -> tuple[float, float]:
    """By how much a mean changed from one side to the other, and the standard error of that."""
    (before, error_before), (after, error_after) = (_level(side, mean, stderr) for side in sides)
    return after - before, math.hypot(error_before, error_after)


def _level(rows: Sequence[Row], mean: str, stderr: str) -> tuple[float, float]:
    values = [row[mean] for row in rows]
    within = math.hypot(*(row.get(stderr, 0.0) for row in rows)) / len(rows)
    between = stdev(values) / math.sqrt(len(rows))
    return math.fsum(values) / len(rows), max(within, between)
