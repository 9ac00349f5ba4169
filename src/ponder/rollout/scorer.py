"""Rule rewards: a verdict from the problem's verifier, then the named parts and their sum."""

from __future__ import annotations

from ponder.config.rl import RewardConfig
from ponder.types import Completion, Problem, Rollout, Verdict
from ponder.verify.rewards import RewardLimits, reward_parts, total
from ponder.verify.verifiers import verify


class RuleScorer:
    """R1-Zero's rewards: accuracy and format by rule, no neural reward model (R1v2 section 2.2)."""

    def __init__(self, reward: RewardConfig, max_completion_tokens: int) -> None:
        self.reward = reward
        self.limits = RewardLimits(max_completion_tokens, reward.overlong_buffer_tokens)

    def __call__(self, problem: Problem, completion: Completion, seed: int) -> Rollout:
        judgement = verify(problem, completion.text)
        key = (seed, problem.id, completion.sample_index)
        parts = reward_parts(problem, completion, judgement, self.limits, key)
        is_ours = judgement.verdict is Verdict.ERROR
        reward = None if is_ours else total(parts, self.reward)
        return Rollout(completion, judgement, parts, reward)
