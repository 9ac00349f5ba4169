"""Prompts from the template, completions in order, verdicts and rewards beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ponder.config.rl import RewardConfig, TemplateConfig
from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator
from ponder.models.tiny import byte_level_tokenizer, make_tiny_model
from ponder.rollout.prompts import PromptMaker
from ponder.rollout.rollout import Pending, rollout
from ponder.rollout.scorer import RuleScorer
from ponder.types import Completion, Group, Problem, Prompt, Sampling, Verdict
from ponder.verify.verifier_pool import VerifierPool

RIGHT = "<think> 3 + 4 = 7 </think> <answer> 7 </answer>"
WRONG = "<think> 3 + 4 = 8 </think> <answer> 8 </answer>"
BARE = "it is \\boxed{7}"
PROBLEMS = [
    Problem("p0", "3 + 4", "7"),
    Problem("p1", "2 + 2", "4"),
    Problem("bad", "1 / 0", "no number at all ~"),
]
TOKENIZER = byte_level_tokenizer()
POOL = VerifierPool(1)


class Echo:
    """Writes RIGHT, WRONG, BARE in turn, and notes how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int, int]] = []

    def generate(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        sampling: Sampling,
        seed: int,
        on_finished: Callable[[Completion], None] | None = None,
    ) -> list[list[Completion]]:
        self.calls.append(([p.problem_id for p in prompts], group_size, seed))
        groups = [
            [
                Completion(p.problem_id, i, ids, text, [-0.5] * len(ids), "stop")
                for i in range(group_size)
                for text in [(RIGHT, WRONG, BARE)[i % 3]]
                for ids in [TOKENIZER.encode(text)]
            ]
            for p in prompts
        ]
        for completion in reversed([c for group in groups for c in group]):
            assert on_finished is not None
            on_finished(completion)
        return groups


def sample(problems: Sequence[Problem], weights: RewardConfig, seed: int = 5) -> list[Group]:
    return rollout(
        problems,
        Echo(),
        RuleScorer(weights, 200, POOL),
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
        problems, generator, RuleScorer(RewardConfig(), 9, POOL), make_prompt, 2, Sampling(), 5
    )
    assert [g.problem.id for g in groups] == ["p0", "p1", "p0"]
    (first, second) = generator.calls
    assert first == (["p0", "p1"], 2, 5)
    assert second[:2] == (["p0"], 2)
    assert second[2] != 5


def test_a_completion_is_judged_while_others_are_sampled() -> None:
    log: list[str] = []

    class Slow(Echo):
        def generate(self, *arguments: Any, **named: Any) -> list[list[Completion]]:
            groups = super().generate(*arguments, **named)
            log.append("sampled")
            return groups

    class Noting(RuleScorer):
        def submit(self, *arguments: Any) -> Pending:
            log.append("judged")
            return super().submit(*arguments)

    scorer = Noting(RewardConfig(), 200, POOL)
    make_prompt = PromptMaker(TemplateConfig(), TOKENIZER)
    rollout(PROBLEMS[:2], Slow(), scorer, make_prompt, 3, Sampling(), 5)
    assert log == ["judged"] * 6 + ["sampled"]


def test_the_local_engine_hands_over_each_completion_as_it_ends() -> None:
    model, tokenizer = make_tiny_model(1)
    generator = LocalGenerator(model, tokenizer, max_batch_size=4)
    prompts = [Prompt(f"p{i}", "", tuple(tokenizer.encode(f"abc{i}"))) for i in range(4)]
    seen: list[Completion] = []
    groups = generator.generate(prompts, 3, Sampling(max_completion_tokens=40), 1, seen.append)
    assert len(seen) == 12
    assert {id(c) for c in seen} == {id(c) for group in groups for c in group}
    assert [id(c) for c in seen] != [id(c) for group in groups for c in group]


def test_a_language_that_there_is_not_is_named() -> None:
    with pytest.raises(PonderError, match=r"reward\.language_target = 'klingon'"):
        RuleScorer(RewardConfig(language_target="klingon"), 9, POOL)


@pytest.mark.parametrize(("ending", "has_format"), [("<think>\n", 1.0), ("", 0.0)])
def test_a_thought_that_the_prompt_opened_counts_as_opened(ending: str, has_format: float) -> None:
    problem = Problem("p", "3 + 4", "7")
    text = " 3 + 4 = 7 </think> <answer> 7 </answer>"
    completion = Completion("p", 0, [1], text, [0.0], "stop")
    scorer = RuleScorer(RewardConfig(), 200, POOL)
    scored = scorer.submit(problem, Prompt("p", f"User: 3 + 4 {ending}", (1,)), completion, 0)()
    assert scored.reward_parts == {"accuracy": 1.0, "format": has_format}
    assert scored.completion.text == text
