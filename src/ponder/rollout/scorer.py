"""Rule rewards: a verdict from the problem's verifier, then the named parts and their sum."""

from __future__ import annotations

from ponder.config.rl import RewardConfig
from ponder.errors import PonderError
from ponder.rollout.rollout import Pending
from ponder.text.language import LANGUAGES
from ponder.text.templates import THINK, opens_thought
from ponder.types import Completion, Problem, Prompt, Rollout, Verdict
from ponder.verify.rewards import RewardLimits, Scored, reward_parts, total
from ponder.verify.verifier_pool import VerifierPool


class RuleScorer:
    """Rewards by rule, as R1-Zero's: no neural reward model (R1v2 section 2.2).

    Args:
        reward: the weights of the parts.
        max_completion_tokens: the limit that the overlong part looks at.
        pool: where completions are judged; the caller closes it.

    Raises PonderError for a language target that there is not.
    """

    def __init__(
        self, reward: RewardConfig, max_completion_tokens: int, pool: VerifierPool
    ) -> None:
        if reward.language_target not in ("auto", *LANGUAGES):
            fix = f"use auto or one of {', '.join(LANGUAGES)}"
            raise PonderError("reward.language_target", reward.language_target, fix)
        self.reward = reward
        self.limits = RewardLimits(max_completion_tokens, reward.overlong_buffer_tokens)
        self.pool = pool

    def submit(
        self, problem: Problem, prompt: Prompt, completion: Completion, seed: int
    ) -> Pending:
        """The verdict is sought at once; the rewards follow when the rollout is asked for."""
        judgement = self.pool.submit(problem, completion.text)
        key = (seed, problem.id, completion.sample_index)
        written = THINK if opens_thought(prompt.text) else ""

        def rollout() -> Rollout:
            about = Scored(
                problem,
                completion,
                judgement.result(),
                self.reward,
                self.limits,
                key,
                text=written + completion.text,
            )
            return self._rollout(about)

        return rollout

    def _rollout(self, scored: Scored) -> Rollout:
        parts = reward_parts(scored)
        completion, judgement = scored.completion, scored.judgement
        is_ours = judgement.verdict is Verdict.ERROR
        reward = None if is_ours else total(parts, self.reward)
        return Rollout(completion, judgement, parts, reward)
