"""Metrics by domain by hand; a reward model's verdicts are nobody's accuracy."""

from __future__ import annotations

import pytest

from ponder.rollout.stats import rollout_metrics
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

RIGHT, WRONG, ERROR = Verdict.CORRECT, Verdict.INCORRECT, Verdict.ERROR


def group(verifier: str, domain: str | None, *verdicts: tuple[Verdict, float | None]) -> Group:
    metadata = {"language": "en", "source": verifier} | ({"domain": domain} if domain else {})
    rollouts = [
        Rollout(
            Completion(
                "a", i, [1] * (i + 1), "<think> it is 2 </think> 2", [-0.5] * (i + 1), "stop"
            ),
            Judgement(verdict, score=score),
            {},
            None if verdict is ERROR else (score or 0.0) + (verdict is RIGHT),
        )
        for i, (verdict, score) in enumerate(verdicts)
    ]
    problem = Problem("a", "q", "1", verifier, metadata)
    return Group(problem, Prompt("a", "q", (1,)), rollouts)


GROUPS = [
    group("exact", "math", (RIGHT, None), (WRONG, None)),
    group("exact", "math", (RIGHT, None), (RIGHT, None)),
    group("exact", "logic", (WRONG, None), (WRONG, None)),
    group("helpful", "general", (RIGHT, 0.9), (RIGHT, 0.7)),
    group("helpful", "general", (WRONG, 0.2), (ERROR, None)),
    group("safety", "general", (WRONG, 0.1), (WRONG, 0.3)),
]


def test_by_hand() -> None:
    metrics = rollout_metrics(GROUPS)
    assert metrics["domain/math_share"] == pytest.approx(2 / 6)
    assert metrics["domain/math_pass_rate"] == 0.75
    assert metrics["domain/math_reward"] == 0.75
    assert metrics["domain/math_tokens"] == 1.5
    assert metrics["domain/logic_pass_rate"] == 0.0
    assert metrics["domain/general_share"] == pytest.approx(3 / 6)
    assert metrics["domain/general_preference"] == pytest.approx((0.8 + 0.2 + 0.2) / 3)
    assert metrics["domain/general_reward"] == pytest.approx((1.9 + 1.7 + 0.2 + 0.1 + 0.3) / 5)
    assert metrics["preference/helpful_mean"] == pytest.approx(0.5)
    assert metrics["preference/helpful_stderr"] == pytest.approx(0.3)
    assert metrics["preference/safety_mean"] == pytest.approx(0.2)
    assert "preference/safety_stderr" not in metrics  # of a single problem there is none
    assert "domain/general_pass_rate" not in metrics
    assert "domain/math_preference" not in metrics


def test_accuracy_is_of_reasoning_alone() -> None:
    metrics, alone = rollout_metrics(GROUPS), rollout_metrics(GROUPS[:3])
    same = [
        "rollout/pass_rate",
        "rollout/pass_rate_stderr",
        "rollout/solve_all_fraction",
        "rollout/mean_tokens_correct",
        "style/direct_accuracy",
        "language/accuracy_en",
        "source/exact",
    ]
    assert {key: metrics[key] for key in same} == {key: alone[key] for key in same}
    assert metrics["rollout/pass_rate"] == 0.5
    assert "source/helpful" not in metrics
    assert metrics["rollout/num_error"] == 1.0


def test_without_domains_there_are_none() -> None:
    metrics = rollout_metrics([group("exact", None, (RIGHT, None))])
    assert not any(key.startswith(("domain/", "preference/")) for key in metrics)
