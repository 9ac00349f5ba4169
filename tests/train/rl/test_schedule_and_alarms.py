"""Learning rates by hand, and when alarms begin to sound."""

from __future__ import annotations

import pytest

from ponder.config.rl import OptimizerConfig
from ponder.train.rl.alarms import new_alarms
from ponder.train.schedule import learning_rate


def test_warm_up_then_constant() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4)
    assert [learning_rate(config, u, 10) for u in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_ends_at_the_minimum() -> None:
    config = OptimizerConfig(learning_rate=1.0, schedule="cosine", min_learning_rate=0.2)
    assert learning_rate(config, 0, 8) == 1.0
    assert learning_rate(config, 4, 8) == pytest.approx(0.6)
    assert learning_rate(config, 8, 8) == pytest.approx(0.2)
    assert learning_rate(config, 99, 8) == pytest.approx(0.2)


FIRST = {
    "rollout/entropy": 1.0,
    "rollout/mean_tokens": 40.0,
    "rollout/zero_variance_fraction": 0.1,
    "rollout/truncated_fraction": 0.0,
    "rollout/error_fraction": 0.0,
    "policy/mismatch_mean": 1e-6,
}


@pytest.mark.parametrize(
    ("key", "fine", "bad", "name"),
    [
        ("rollout/zero_variance_fraction", 0.99, 1.0, "zero_variance"),
        ("rollout/truncated_fraction", 0.5, 0.51, "truncation"),
        ("rollout/entropy", 0.11, 0.09, "entropy_collapse"),
        ("policy/mismatch_mean", 0.01, 0.05, "mismatch"),
        ("rollout/error_fraction", 0.05, 0.06, "verifier_errors"),
        ("rollout/mean_tokens", 11.0, 9.0, "length_collapse"),
    ],
)
def test_each_alarm_sounds_at_its_threshold(key: str, fine: float, bad: float, name: str) -> None:
    assert new_alarms([FIRST, FIRST | {key: fine}]) == []
    assert [a.name for a in new_alarms([FIRST, FIRST | {key: bad}])] == [name]


def test_an_alarm_sounds_once_until_it_has_stopped() -> None:
    bad = FIRST | {"rollout/truncated_fraction": 0.9}
    assert [a.name for a in new_alarms([bad])] == ["truncation"]
    assert new_alarms([FIRST, bad, bad]) == []
    assert [a.name for a in new_alarms([FIRST, bad, FIRST, bad])] == ["truncation"]
