"""Rewards: named parts of a completion, and their weighted sum.

R1-Zero's rule reward is accuracy + format "with the same weight" (arXiv 2501.12948 v2, 2.2); R1's
first stage adds language consistency "directly" (2.3.2); its second has general problems whose
reward is that of a reward model + format + language (3.2.2); overlong is DAPO's (2503.14476, 3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ponder.config.rl import RewardConfig
from ponder.seeds import derive_seed
from ponder.text.language import detect_language, language_consistency
from ponder.text.parsing import format_fault, parse_completion
from ponder.text.repetition import repetition_penalty
from ponder.types import PREFERENCES, Completion, Judgement, Problem, Verdict

RewardKey = tuple[int, str, int]
"""(seed, problem id, sample index): what the coin of the control reward follows from."""


@dataclass(frozen=True, slots=True)
class RewardLimits:
    """Token counts that rewards depend on; a buffer of 0 switches the overlong part off."""

    max_completion_tokens: int
    overlong_buffer_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """What a part may look at.

    ``text`` is the completion's, with the ``<think>`` that its prompt may have written for it.
    """

    problem: Problem
    completion: Completion
    judgement: Judgement
    config: RewardConfig
    limits: RewardLimits
    key: RewardKey
    text: str


def accuracy(scored: Scored) -> float:
    """1 if the verdict is correct, else 0."""
    return float(scored.judgement.verdict is Verdict.CORRECT)


def score(scored: Scored) -> float:
    """The verifier's partial credit in [0, 1] (share of tests passed); without one, accuracy."""
    partial = scored.judgement.score
    return accuracy(scored) if partial is None else partial


def preference(scored: Scored) -> float:
    """The reward model's normalised score in [0, 1]; see ``RewardFacts.normalised``."""
    return scored.judgement.score or 0.0


def strict_format(scored: Scored) -> float:
    """1 if the completion keeps R1-Zero's strict format, else 0."""
    return float(not format_fault(scored.text))


def language(scored: Scored) -> float:
    """The share of the thought's words that are in the target language, in [0, 1].

    The thought is what stands before ``</think>``; a completion that never closes one is all
    thought. The target is ``reward.language_target``, or, for "auto", the question's language.
    """
    target = scored.config.language_target
    if target == "auto":
        target = detect_language(scored.problem.question)
    return language_consistency(_thought(scored.text), target)


def repetition(scored: Scored) -> float:
    """Minus the share of n-grams of the completion that stood in it before, in [-1, 0]."""
    return repetition_penalty(scored.completion.text)


def overlong(scored: Scored) -> float:
    """DAPO's soft punishment near the token limit, in [-1, 0]; see ``soft_overlong``."""
    limits = scored.limits
    if not limits.overlong_buffer_tokens:
        return 0.0
    from ponder.algo.overlong import soft_overlong  # its package imports torch; verifiers need none

    num_tokens = scored.completion.num_tokens
    return soft_overlong(num_tokens, limits.max_completion_tokens, limits.overlong_buffer_tokens)


def random(scored: Scored) -> float:
    """A fair coin that follows from the key alone: the control."""
    return coin(scored.key)


PARTS: Mapping[str, Callable[[Scored], float]] = {
    "accuracy": accuracy,
    "format": strict_format,
    "score": score,
    "preference": preference,
    "language": language,
    "repetition": repetition,
    "overlong": overlong,
    "random": random,
}
"""By name: of the part in every log, and of its weight in ``RewardConfig``."""

ALWAYS = ("accuracy", "preference", "format")
"""Parts that are logged whatever they weigh."""

ONLY_REASONING = ("accuracy", "score")
"""Parts that general problems have not: nobody says what would be right."""
ONLY_GENERAL = ("preference",)
"""Parts that only general problems have."""


def reward_parts(scored: Scored) -> dict[str, float]:
    """The unweighted parts by name: accuracy (of a general problem: preference), format, and all
    others that have a weight."""
    if scored.completion.problem_id != scored.problem.id:
        wrong = scored.completion.problem_id
        raise ValueError(f"completion of {wrong!r} scored as {scored.problem.id!r}")
    others = ONLY_REASONING if is_general(scored.problem) else ONLY_GENERAL
    return {
        name: part(scored)
        for name, part in PARTS.items()
        if name not in others and (name in ALWAYS or weight_of(name, scored.config))
    }


def is_general(problem: Problem) -> bool:
    """Whether a reward model judges the problem: its verdicts say nothing of right and wrong."""
    return problem.verifier in PREFERENCES


def total(parts: Mapping[str, float], config: RewardConfig) -> float:
    """The weighted sum of the parts."""
    return sum(weight_of(name, config) * value for name, value in parts.items())


def weight_of(name: str, config: RewardConfig) -> float:
    """The weight of a part."""
    weight: float = getattr(config, name)
    return weight


def coin(key: RewardKey) -> float:
    """0.0 or 1.0 with equal chances."""
    seed, problem_id, sample_index = key
    return float(derive_seed(seed, "coin", problem_id, sample_index) & 1)


def _thought(text: str) -> str:
    thought = parse_completion(text).thought
    return text if thought is None else thought
