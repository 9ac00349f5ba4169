"""Prompts from the template, completions in order, verdicts and rewards beside them."""

from __future__ import annotations

from collections.abc import Sequence

from ponder.config.rl import RewardConfig, TemplateConfig
from ponder.models.tiny import byte_level_tokenizer
from ponder.rollout.prompts import PromptMaker
from ponder.rollout.rollout import rollout
from ponder.rollout.scorer import RuleScorer
from ponder.types import Completion, Group, Problem, Prompt, Sampling, Verdict

RIGHT = "<think> 3 + 4 = 7 </think> <answer> 7 </answer>"
WRONG = "<think> 3 + 4 = 8 </think> <answer> 8 </answer>"
BARE = "it is \\boxed{7}"
PROBLEMS = [
    Problem("p0", "3 + 4", "7"),
    Problem("p1", "2 + 2", "4"),
    Problem("bad", "1 / 0", "no number at all ~"),
]
TOKENIZER = byte_level_tokenizer()


class Echo:
    """Writes RIGHT, WRONG, BARE in turn, and notes how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int, int]] = []

    def generate(
        self, prompts: Sequence[Prompt], group_size: int, sampling: Sampling, seed: int
    ) -> list[list[Completion]]:
        self.calls.append(([p.problem_id for p in prompts], group_size, seed))
        return [
            [
                Completion(p.problem_id, i, ids, text, [-0.5] * len(ids), "stop")
                for i in range(group_size)
                for text in [(RIGHT, WRONG, BARE)[i % 3]]
                for ids in [TOKENIZER.encode(text)]
            ]
            for p in prompts
        ]


def sample(problems: Sequence[Problem], weights: RewardConfig, seed: int = 5) -> list[Group]:
    return rollout(
        problems,
        Echo(),
        RuleScorer(weights, 200),
        PromptMaker(TemplateConfig(), TOKENIZER),
        3,
        Sampling(max_completion_tokens=200),
        seed,
    )


def test_groups_hold_prompt_verdicts_and_rewards_in_order() -> None:
    first, second = sample(PROBLEMS[:2], RewardConfig())
    assert [g.problem.id for g in (first, second)] == ["p0", "p1"]
    assert first.prompt.text.endswith("User: 3 + 4. Assistant:")
    assert TOKENIZER.decode(list(first.prompt.token_ids)) == first.prompt.text
    assert [r.judgement.verdict for r in first.rollouts] == [
        Verdict.CORRECT,
        Verdict.INCORRECT,
        first.rollouts[2].judgement.verdict,
    ]
    assert [r.reward for r in first.rollouts][:2] == [2.0, 1.0]
    assert first.rollouts[2].reward_parts["format"] == 0.0
    assert [r.judgement.verdict for r in second.rollouts][:2] == [Verdict.INCORRECT] * 2
    assert all(r.advantage is None for g in (first, second) for r in g.rollouts)


def test_weights_make_the_reward_and_an_error_has_none() -> None:
    (group, broken) = sample([PROBLEMS[0], PROBLEMS[2]], RewardConfig(accuracy=3.0, format=0.5))
    assert [r.reward for r in group.rollouts][:2] == [3.5, 0.5]
    for r in broken.rollouts:
        assert (r.reward is None) == (r.judgement.verdict is Verdict.ERROR)


def test_coins_follow_from_the_seed() -> None:
    weights = RewardConfig(accuracy=0.0, format=0.0, random=1.0)
    many = [Problem(f"p{i}", "3 + 4", "7") for i in range(100)]

    def coins(seed: int) -> list[float | None]:
        return [r.reward for g in sample(many, weights, seed) for r in g.rollouts]

    assert coins(1) == coins(1) != coins(2)
    assert 110 < sum(c or 0.0 for c in coins(1)) < 190


def test_a_problem_that_comes_twice_makes_two_different_groups() -> None:
    generator = Echo()
    problems = [PROBLEMS[0], PROBLEMS[1], PROBLEMS[0]]
    make_prompt = PromptMaker(TemplateConfig(), TOKENIZER)
    groups = rollout(
        problems, generator, RuleScorer(RewardConfig(), 9), make_prompt, 2, Sampling(), 5
    )
    assert [g.problem.id for g in groups] == ["p0", "p1", "p0"]
    (first, second) = generator.calls
    assert first == (["p0", "p1"], 2, 5)
    assert second[:2] == (["p0"], 2)
    assert second[2] != 5
