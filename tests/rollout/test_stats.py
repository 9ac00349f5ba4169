"""Every metric of a step, by hand, on two small groups."""

from __future__ import annotations

import math

import pytest

from ponder.rollout.stats import has_mixed_verdicts, has_zero_variance, rollout_metrics
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict


def scored(
    problem: str, verdict: Verdict, num_tokens: int, text: str = "", *, cut: bool = False
) -> Rollout:
    completion = Completion(
        problem, 0, [1] * num_tokens, text, [-0.5] * num_tokens, "length" if cut else "stop"
    )
    if verdict is Verdict.ERROR:
        return Rollout(completion, Judgement(verdict), {}, None)
    accuracy = float(verdict is Verdict.CORRECT)
    form = float(verdict is not Verdict.UNPARSABLE)
    parts = {"accuracy": accuracy, "format": form}
    return Rollout(completion, Judgement(verdict), parts, accuracy + form)


def group(name: str, *rollouts: Rollout) -> Group:
    return Group(Problem(name, "q", "1"), Prompt(name, "q", (1,)), list(rollouts))


def test_every_metric_by_hand() -> None:
    groups = [
        group(
            "a",
            scored("a", Verdict.CORRECT, 10, "wait, check. Wait"),
            scored("a", Verdict.INCORRECT, 4),
            scored("a", Verdict.UNPARSABLE, 6, cut=True),
            scored("a", Verdict.ERROR, 1000, "check " * 50),
        ),
        group("b", scored("b", Verdict.CORRECT, 20, "but"), scored("b", Verdict.CORRECT, 10)),
    ]
    metrics = rollout_metrics(groups)
    assert metrics["reward/mean"] == pytest.approx((2 + 1 + 0 + 2 + 2) / 5)
    assert metrics["reward/accuracy"] == pytest.approx(3 / 5)
    assert metrics["reward/format"] == pytest.approx(4 / 5)
    assert metrics["rollout/pass_rate"] == pytest.approx((1 / 3 + 1) / 2)
    assert metrics["rollout/zero_variance_fraction"] == 0.5
    assert metrics["rollout/solve_all_fraction"] == 0.5
    assert metrics["rollout/solve_none_fraction"] == 0.0
    assert metrics["rollout/num_error"] == 1
    assert metrics["rollout/error_fraction"] == pytest.approx(1 / 6)
    assert metrics["rollout/unparsable_fraction"] == pytest.approx(1 / 5)
    assert metrics["rollout/mean_tokens"] == 10
    assert metrics["rollout/mean_tokens_correct"] == pytest.approx(40 / 3)
    assert metrics["rollout/mean_tokens_wrong"] == 5
    assert metrics["rollout/max_tokens"] == 20
    assert metrics["rollout/truncated_fraction"] == pytest.approx(1 / 5)
    assert metrics["rollout/entropy"] == pytest.approx(0.5)
    assert metrics["text/reflective_words_per_completion"] == pytest.approx(4 / 5)
    assert metrics["text/reflective_words_per_1k_tokens"] == pytest.approx(4 / 0.05)
    assert metrics["text/reflective_share"] == pytest.approx(2 / 5)
    assert metrics["text/wait_per_1k_tokens"] == pytest.approx(2 / 0.05)
    assert metrics["text/verify_per_1k_tokens"] == 0


def test_a_mean_over_nothing_is_left_out_and_nothing_is_nan() -> None:
    wrong = rollout_metrics([group("a", *(scored("a", Verdict.INCORRECT, 3) for _ in range(2)))])
    assert "rollout/mean_tokens_correct" not in wrong
    assert wrong["rollout/mean_tokens_wrong"] == 3
    broken = rollout_metrics([group("a", scored("a", Verdict.ERROR, 3))])
    assert broken["rollout/num_error"] == 1
    assert "reward/mean" not in broken
    assert "rollout/pass_rate" not in broken
    for metrics in (wrong, broken, rollout_metrics([])):
        assert all(math.isfinite(value) for value in metrics.values())


def test_zero_variance_is_of_rewards_and_mixed_is_of_verdicts() -> None:
    correct, wrong, unparsable, error = (scored("a", v, 1) for v in Verdict)
    assert has_zero_variance(group("a", correct, correct, error))
    assert not has_zero_variance(group("a", wrong, unparsable))
    assert not has_mixed_verdicts(group("a", wrong, unparsable))
    assert not has_mixed_verdicts(group("a", correct, error))
    assert has_mixed_verdicts(group("a", correct, unparsable))


def test_pass_rate_by_source() -> None:
    def of(name: str, metadata: dict[str, str], *verdicts: Verdict) -> Group:
        problem = Problem(name, "q", "1", metadata=metadata)
        rollouts = [scored(name, verdict, 3) for verdict in verdicts]
        return Group(problem, Prompt(name, "q", (1,)), rollouts)

    right, wrong, ours = Verdict.CORRECT, Verdict.INCORRECT, Verdict.ERROR
    metrics = rollout_metrics(
        [
            of("a", {"source": "gsm8k"}, right, wrong, ours),
            of("b", {"source": "gsm8k"}, right, right),
            of("f", {"source": "/data/mine.jsonl"}, wrong),
            of("c", {"task": "gcd"}, wrong, wrong),
            of("d", {"task": "lcm"}, ours),
            of("e", {}, right),
        ]
    )
    found = {key: value for key, value in metrics.items() if key.startswith("source/")}
    assert found == {"source/gsm8k": 0.75, "source/gcd": 0.0, "source/mine.jsonl": 0.0}
