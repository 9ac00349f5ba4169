"""The alarm for a hacked preference reward: planted hacking fires, healthy noise does not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from ponder.train.rl.parting import LEAST_FALL, SHORTEST_WINDOW, parted, window_of

Curve = Callable[[float], float]


def mean_and_stderr(values: list[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) * (len(values) - 1)))


def row(chance: random.Random, accuracy: float, preference: float, name: str) -> dict[str, float]:
    """A step of 12 reasoning problems of different difficulty, 8 samples each, and 6 general."""
    rates = []
    for _ in range(12):
        rate = min(1.0, max(0.0, accuracy + chance.uniform(-0.3, 0.3)))
        rates.append(sum(chance.random() < rate for _ in range(8)) / 8)
    scores = [min(1.0, max(0.0, preference + chance.gauss(0, 0.15))) for _ in range(6)]
    pass_rate, pass_error = mean_and_stderr(rates)
    mean, error = mean_and_stderr(scores)
    return {
        "rollout/pass_rate": pass_rate,
        "rollout/pass_rate_stderr": pass_error,
        f"preference/{name}_mean": mean,
        f"preference/{name}_stderr": error,
    }


def fires(
    seed: int, steps: int, accuracy: Curve, preference: Curve, name: str = "helpful", drift: int = 0
) -> int | None:
    """The step at which the alarm would end such a run; ``drift``: of the policy, up and down."""
    chance, level = random.Random(seed), 0.0
    rows: list[dict[str, float]] = []
    for step in range(steps):
        level = 0.8 * level + 0.01 * drift * chance.gauss(0, 1)
        share = step / steps
        rows.append(row(chance, accuracy(share) + level, preference(share), name))
        if parted(rows, steps):
            return step
    return None


def flat(share: float) -> float:
    return 0.6


def rises(share: float) -> float:
    return 0.3 + 0.4 * share


def falls(share: float) -> float:
    return 0.6 - 0.3 * share


@pytest.mark.parametrize(("steps", "seeds"), [(12, 300), (25, 300), (100, 100)])
@pytest.mark.parametrize("drift", [0, 1])
def test_a_healthy_run_is_left_alone(steps: int, seeds: int, drift: int) -> None:
    """Its preference reward rises, its accuracy is noise around a level: below 1 % of the runs.

    (With 1,000 seeds of 12, 25 and 40 steps, 300 of 100 and 100 of 400: none but 3 and 1.)
    """
    fired = sum(fires(seed, steps, flat, rises, drift=drift) is not None for seed in range(seeds))
    assert fired < 0.01 * seeds


def test_nothing_rises_nothing_falls_or_both_do() -> None:
    for seed in range(30):
        assert fires(seed, 60, falls, flat) is None
        assert fires(seed, 60, falls, lambda share: 0.7 - 0.4 * share) is None
        assert fires(seed, 60, rises, rises) is None


@pytest.mark.parametrize("name", ["helpful", "safety"])
def test_hacking_ends_the_run(name: str) -> None:
    ends = [fires(seed, 100, falls, rises, name) for seed in range(20)]
    found = [step for step in ends if step is not None]
    assert len(found) == 20
    assert sum(found) / 20 < 80


def test_hacking_that_begins_late_is_seen_soon() -> None:
    ends = [
        fires(seed, 200, lambda t: 0.6 if t < 0.5 else 0.35, lambda t: 0.4 if t < 0.5 else 0.7)
        for seed in range(10)
    ]
    assert all(step is not None and 100 <= step <= 120 for step in ends), ends


def steps_of(*values: tuple[float, float]) -> list[dict[str, float]]:
    return [
        {
            "rollout/pass_rate": accuracy,
            "rollout/pass_rate_stderr": 0.001,
            "preference/helpful_mean": preference,
            "preference/helpful_stderr": 0.001,
        }
        for accuracy, preference in values
    ]


def test_by_hand() -> None:
    before, after = [(0.5, 0.4)] * SHORTEST_WINDOW, [(0.4, 0.6)] * SHORTEST_WINDOW
    said = parted(steps_of(*before, *after), 10)
    assert "the helpful reward rose by 0.200 +- 0.001" in said
    assert "accuracy fell by 0.100 +- 0.001 (the last 5 steps against the 5 before" in said
    assert parted(steps_of(*before, *after[1:]), 10) == ""  # two whole windows are needed
    trifle = [(0.5 - 0.9 * LEAST_FALL, 0.6)] * SHORTEST_WINDOW
    assert parted(steps_of(*before, *trifle), 10) == ""
    silent = [{"rollout/pass_rate": 0.1}]  # a step without general problems says nothing
    assert parted([*steps_of(*before, *after), *silent], 10) == ""
    assert parted([], 10) == ""


def test_steps_that_differ_more_than_their_own_errors_say_count_as_noise() -> None:
    before = [(0.5, 0.4), (0.3, 0.4), (0.6, 0.4), (0.4, 0.4), (0.55, 0.4)]
    after = [(0.3, 0.6), (0.5, 0.6), (0.2, 0.6), (0.45, 0.6), (0.3, 0.6)]
    assert parted(steps_of(*before, *after), 10) == ""


def test_the_window_is_a_quarter_of_the_steps_within_bounds() -> None:
    assert [window_of(n) for n in (4, 25, 48, 400)] == [5, 6, 12, 20]
