"""What enters the loss, with which advantage, over what denominator."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.config.rl import AlgorithmConfig, BatchConfig, RLConfig, SamplingConfig
from ponder.errors import GuardError
from ponder.train.rl.batch import PromptRows, Row, make_batch, split_by_tokens


def config(minibatches: int = 1, prompts: int = 8, **algorithm: Any) -> RLConfig:
    return RLConfig(
        batch=BatchConfig(prompts_per_step=prompts, minibatches=minibatches),
        sampling=SamplingConfig(max_completion_tokens=10),
        algorithm=AlgorithmConfig(advantage_eps=0.0, **algorithm),
    )


def test_advantages_by_hand_and_errors_leave_their_group(make_group: Any) -> None:
    # Without the error: rewards 2, 0, 1 -> mean 1, population std sqrt(2/3).
    group = make_group("a", [2, None, 0, 1], [3, 9, 4, 5])
    (minibatch,) = make_batch([group], config(), 0).minibatches
    root = (3 / 2) ** 0.5
    expected = [root, None, -root, 0.0]
    assert [r.advantage for r in group.rollouts] == [
        None if e is None else pytest.approx(e) for e in expected
    ]
    assert [len(row.completion_ids) for row in minibatch.rows] == [3, 4, 5]
    assert minibatch.denominator == 12


@pytest.mark.parametrize(
    ("normalise", "denominator"), [("token", 3 + 4 + 2 + 2), ("sequence", 4), ("constant", 40)]
)
def test_denominator_counts_groups_of_equal_rewards(
    make_group: Any, normalise: Any, denominator: float
) -> None:
    groups = [make_group("a", [1, 0], [3, 4]), make_group("b", [1, 1], [2, 2])]
    (minibatch,) = make_batch(groups, config(normalise=normalise), 0).minibatches
    assert minibatch.denominator == denominator


def test_masked_truncated_completions_stay_in_the_mean(make_group: Any) -> None:
    group = make_group("a", [1, 0, 0, 0], [3, 4, 5, 10], cut=[3])
    (minibatch,) = make_batch([group], config(mask_truncated=True, advantage="mean"), 0).minibatches
    assert [r.advantage for r in group.rollouts] == [0.75, -0.25, -0.25, None]
    assert minibatch.denominator == 12


def test_minibatches_are_whole_groups_shuffled_by_seed_and_step(make_group: Any) -> None:
    groups = [make_group(f"g{i}", [1, 0], [2, 2]) for i in range(8)]
    prompts = {group.prompt.token_ids for group in groups}

    def order(step: int) -> list[tuple[int, ...]]:
        batch = make_batch(groups, config(minibatches=4), step)
        assert [len(m.groups) for m in batch.minibatches] == [2, 2, 2, 2]
        return [g.prompt_ids for m in batch.minibatches for g in m.groups]

    assert order(3) == order(3)
    assert order(3) != order(4)
    assert set(order(3)) == prompts


def test_a_group_of_another_problems_rollouts_is_refused(make_group: Any) -> None:
    group, other = make_group("a", [1, 0], [2, 2]), make_group("b", [1, 0], [2, 2])
    group.rollouts[1] = other.rollouts[1]
    with pytest.raises(GuardError, match=r"problem 'a' holds rollouts of \['a', 'b'\]"):
        make_batch([group], config(), 0)


def test_text_of_an_endpoint_has_no_place_in_a_policy_gradient(make_group: Any) -> None:
    """Not even where its advantage would leave the loss: other policies are no baseline."""
    group = make_group("a", [1, 0, None], [2, 2, 2])
    told = group.rollouts[2].completion
    told.token_ids, told.sampler_logprobs, told.counted_tokens = [], [], 7
    with pytest.raises(GuardError, match="endpoint"):
        make_batch([group], config(), 0)
    told.counted_tokens = None
    told.token_ids = [1, 2]
    with pytest.raises(GuardError, match="2 tokens and 0 log-probabilities"):
        make_batch([group], config(), 0)


def test_nothing_but_errors_is_an_empty_batch(make_group: Any) -> None:
    batch = make_batch([make_group("a", [None, None], [2, 2])], config(), 0)
    assert batch.rows == []
    assert batch.minibatches[0].denominator == 1


def row(length: int) -> Row:
    return Row([0] * length, [0.0] * length, 1.0)


def test_split_by_tokens_counts_a_shared_prompt_once_per_part() -> None:
    groups = [
        PromptRows((0,) * 4, (row(3), row(3))),  # 10 tokens
        PromptRows((0,) * 4, (row(2),)),  # 6
        PromptRows((0,) * 4, (row(9), row(5), row(30))),  # cut: 13 = 4 + 9; 9 = 4 + 5; 34 alone
    ]
    microbatches = split_by_tokens(groups, 16)
    assert [[part.num_tokens for part in m] for m in microbatches] == [[10, 6], [13], [9], [34]]
    assert [r for m in microbatches for part in m for r in part.rows] == [
        r for group in groups for r in group.rows
    ]
    assert split_by_tokens([], 16) == []
