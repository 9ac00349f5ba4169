"""Reward parts and their sum."""

from __future__ import annotations

import pytest

from ponder.config.rl import RewardConfig
from ponder.types import Completion, Judgement, Problem, Verdict
from ponder.verify.rewards import RewardLimits, coin, reward_parts, total
from ponder.verify.verifiers import verify

PROBLEM = Problem("p", "2+3?", "5")
GOOD = " <think> 2 + 3 = 5 </think> <answer> 5 </answer>"


def parts(
    text: str, num_tokens: int = 10, limits: RewardLimits | None = None, sample_index: int = 0
) -> dict[str, float]:
    completion = Completion("p", sample_index, [1] * num_tokens, text, [0.0] * num_tokens, "stop")
    judgement = verify(PROBLEM, text)
    key = (7, "p", sample_index)
    return reward_parts(PROBLEM, completion, judgement, limits or RewardLimits(256), key)


@pytest.mark.parametrize(
    ("text", "accuracy", "form"),
    [
        (GOOD, 1, 1),
        (GOOD.replace("<answer> 5", "<answer> 6"), 0, 1),
        ("<answer> 5 </answer>", 1, 0),
        ("5", 0, 0),
    ],
)
def test_r1_zero_reward_is_accuracy_plus_format(text: str, accuracy: int, form: int) -> None:
    found = parts(text)
    assert (found["accuracy"], found["format"]) == (accuracy, form)
    assert total(found, RewardConfig()) == accuracy + form
    assert total(found, RewardConfig(accuracy=2.0, format=0.5)) == 2 * accuracy + 0.5 * form


def test_overlong_part_by_hand() -> None:
    """Limit 100, buffer 20: 0 up to 80 tokens, -1/2 at 90, -1 at 100."""
    limits = RewardLimits(100, 20)
    assert [parts(GOOD, n, limits)["overlong"] for n in (80, 90, 100)] == [0.0, -0.5, -1.0]
    assert total(parts(GOOD, 90, limits), RewardConfig(overlong=1.0)) == 1.5
    assert parts(GOOD, 100, RewardLimits(100, 0))["overlong"] == 0.0


def test_random_reward_is_a_fair_coin_of_the_key_alone() -> None:
    keys = [(seed, f"p{i}", j) for seed in (0, 1) for i in range(500) for j in range(8)]
    tosses = [coin(key) for key in keys]
    assert set(tosses) == {0.0, 1.0}
    assert abs(sum(tosses) / len(tosses) - 0.5) < 0.02  # 3.6 standard errors of 8000 tosses
    assert tosses == [coin(key) for key in keys]
    half = len(tosses) // 2
    agreement = sum(a == b for a, b in zip(tosses[:half], tosses[half:], strict=True)) / half
    assert abs(agreement - 0.5) < 0.03  # another seed, other coins


def test_random_reward_does_not_depend_on_what_was_written() -> None:
    config = RewardConfig(accuracy=0.0, format=0.0, random=1.0)
    for index in range(8):
        assert total(parts(GOOD, 10, None, index), config) == coin((7, "p", index))
        assert total(parts("garbage", 99, None, index), config) == coin((7, "p", index))


def test_a_completion_of_another_problem_is_our_bug() -> None:
    completion = Completion("other", 0, [1], GOOD, [0.0], "stop")
    judgement = Judgement(Verdict.CORRECT, "5")
    with pytest.raises(ValueError, match="other"):
        reward_parts(PROBLEM, completion, judgement, RewardLimits(256), (0, "p", 0))
