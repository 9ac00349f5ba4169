"""Rewards: named parts of a completion, and their weighted sum.

R1-Zero's rule reward is accuracy + format "with the same weight" (arXiv 2501.12948 v2, 2.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ponder.config.rl import RewardConfig
from ponder.seeds import derive_seed
from ponder.text.parsing import format_fault
from ponder.types import Completion, Judgement, Problem, Verdict

RewardKey = tuple[int, str, int]
"""(seed, problem id, sample index): what the coin of the control reward follows from."""


@dataclass(frozen=True, slots=True)
class RewardLimits:
    """Token counts that rewards depend on; a buffer of 0 switches the overlong part off."""

    max_completion_tokens: int
    overlong_buffer_tokens: int = 0


def reward_parts(
    problem: Problem,
    completion: Completion,
    judgement: Judgement,
    limits: RewardLimits,
    key: RewardKey,
) -> dict[str, float]:
    """The unweighted parts, always all four.

    ``accuracy``: 1 if the verdict is correct, else 0. ``format``: 1 if the completion keeps
    R1-Zero's strict format, else 0. ``overlong``: in [-1, 0], see ``soft_overlong``. ``random``: a
    fair coin that follows from ``key`` alone.
    """
    if completion.problem_id != problem.id:
        raise ValueError(f"completion of {completion.problem_id!r} scored as {problem.id!r}")
    return {
        "accuracy": float(judgement.verdict is Verdict.CORRECT),
        "format": float(not format_fault(completion.text)),
        "overlong": _overlong(len(completion.token_ids), limits),
        "random": coin(key),
    }


def total(parts: Mapping[str, float], weights: RewardConfig) -> float:
    """The weighted sum of the parts."""
    return (
        weights.accuracy * parts["accuracy"]
        + weights.format * parts["format"]
        + weights.overlong * parts["overlong"]
        + weights.random * parts["random"]
    )


def coin(key: RewardKey) -> float:
    """0.0 or 1.0 with equal chances."""
    seed, problem_id, sample_index = key
    return float(derive_seed(seed, "coin", problem_id, sample_index) & 1)


def _overlong(num_tokens: int, limits: RewardLimits) -> float:
    if not limits.overlong_buffer_tokens:
        return 0.0
    from ponder.algo.overlong import soft_overlong  # its package imports torch; verifiers need none

    return soft_overlong(num_tokens, limits.max_completion_tokens, limits.overlong_buffer_tokens)
