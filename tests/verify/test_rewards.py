"""Reward parts and their sum."""

from __future__ import annotations

import pytest

from ponder.config.rl import RewardConfig
from ponder.types import Completion, Judgement, Problem, Verdict
from ponder.verify.rewards import (
    ONLY_GENERAL,
    PARTS,
    RewardLimits,
    Scored,
    coin,
    reward_parts,
    total,
)
from ponder.verify.verifiers import verify

PROBLEM = Problem("p", "2+3?", "5")
GOOD = " <think> 2 + 3 = 5 </think> <answer> 5 </answer>"


ALL = RewardConfig(score=1.0, language=1.0, repetition=1.0, overlong=1.0, random=1.0)


def parts(
    text: str,
    num_tokens: int = 10,
    limits: RewardLimits | None = None,
    sample_index: int = 0,
    config: RewardConfig = ALL,
) -> dict[str, float]:
    completion = Completion("p", sample_index, [1] * num_tokens, text, [0.0] * num_tokens, "stop")
    judgement = verify(PROBLEM, text)
    key = (7, "p", sample_index)
    return reward_parts(
        Scored(PROBLEM, completion, judgement, config, limits or RewardLimits(256), key, text)
    )


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


def test_overlong_part_counts_an_endpoints_tokens_as_it_says() -> None:
    told = Completion("p", 0, [], GOOD, [], "stop", counted_tokens=90)
    scored = Scored(
        PROBLEM, told, verify(PROBLEM, GOOD), ALL, RewardLimits(100, 20), (7, "p", 0), GOOD
    )
    assert reward_parts(scored)["overlong"] == -0.5


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
        reward_parts(
            Scored(PROBLEM, completion, judgement, ALL, RewardLimits(256), (0, "p", 0), GOOD)
        )


def judged(text: str, judgement: Judgement, config: RewardConfig, question: str = "2+3?") -> float:
    problem = Problem("p", question, "5")
    completion = Completion("p", 0, [1], text, [0.0], "stop")
    limits, key = RewardLimits(256), (0, "p", 0)
    parts = reward_parts(Scored(problem, completion, judgement, config, limits, key, text))
    return total(parts, config)


def test_only_parts_with_a_weight_are_logged_but_accuracy_and_format() -> None:
    zero = RewardConfig(accuracy=0.0, format=0.0, random=1.0)
    assert set(parts(GOOD, config=zero)) == {"accuracy", "format", "random"}
    assert set(parts(GOOD, config=RewardConfig())) == {"accuracy", "format"}
    assert set(parts(GOOD)) == set(PARTS) - set(ONLY_GENERAL)


def test_every_part_has_a_weight_in_the_recipe() -> None:
    floats = {n for n, f in RewardConfig.model_fields.items() if f.annotation is float}
    assert floats == set(PARTS)


def test_score_is_partial_credit_or_else_accuracy() -> None:
    only = RewardConfig(accuracy=0.0, format=0.0, score=1.0)
    assert judged(GOOD, Judgement(Verdict.INCORRECT, "x", score=0.75), only) == 0.75
    assert judged(GOOD, Judgement(Verdict.CORRECT, "5"), only) == 1.0
    assert judged(GOOD, Judgement(Verdict.INCORRECT, "6"), only) == 0.0


@pytest.mark.parametrize(
    ("question", "target", "expected"),
    [
        ("What is 2+3?", "auto", 0.5),
        ("2+3 是多少?", "auto", 0.5),
        ("What is 2+3?", "zh", 0.5),
        ("What is 2+3?", "ru", 0.0),
    ],
)
def test_language_is_that_of_the_thought_alone(question: str, target: str, expected: float) -> None:
    only = RewardConfig(accuracy=0.0, format=0.0, language=1.0, language_target=target)
    text = "<think> two 加 </think> <answer> many more English words </answer>"
    assert judged(text, Judgement(Verdict.CORRECT, "5"), only, question) == expected


def test_r1s_first_stage_adds_language_to_accuracy_and_format() -> None:
    config = RewardConfig(language=1.0)
    text = "<think> two plus three </think> <answer> 5 </answer>"
    assert judged(text, Judgement(Verdict.CORRECT, "5"), config, "What is 2+3?") == 3.0


def test_a_completion_that_repeats_itself_loses_up_to_one() -> None:
    only = RewardConfig(accuracy=0.0, format=0.0, repetition=1.0)
    assert judged("a b c d e f g h", Judgement(Verdict.INCORRECT), only) == 0.0
    assert judged("wait " * 500, Judgement(Verdict.INCORRECT), only) < -0.9
