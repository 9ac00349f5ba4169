"""What a step's groups look like, as one row of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from ponder.rollout.domain_stats import (
    domain_metrics,
    mean,
    pass_rates,
    preference_metrics,
    reasoning_groups,
    stderr,
    valid_rollouts,
)
from ponder.rollout.language_stats import language_metrics
from ponder.text.reflection import REFLECTIVE_WORDS, count_by_word
from ponder.text.styles import STYLES, style_of
from ponder.types import Group, Rollout, Verdict

__all__ = ["has_mixed_verdicts", "has_zero_variance", "rollout_metrics", "valid_rollouts"]


def rollout_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Every ``reward/``, ``rollout/``, ``source/``, ``domain/``, ``preference/``, ``text/``,
    ``style/`` and ``language/`` metric.

    What is right and wrong, and the words and styles that may go with it, are asked of reasoning
    problems only: the verdicts of a reward model are in ``preference/``. Rewards, lengths and the
    variance of groups are of all.

    Rollouts whose verdict is ``error`` are counted in ``rollout/num_error`` and leave all the rest.
    A mean over nothing (no correct completion, say) is left out of the row: there are no nans.
    """
    valid = [r for group in groups for r in valid_rollouts(group)]
    reasoning = reasoning_groups(groups)
    reasoned = [r for group in reasoning for r in valid_rollouts(group)]
    all_rollouts = sum(len(group.rollouts) for group in groups)
    metrics: dict[str, float | None] = {
        **_reward_metrics(valid),
        **_group_metrics(groups, reasoning),
        **_source_metrics(reasoning),
        **domain_metrics(groups),
        **preference_metrics(groups),
        "rollout/num_error": float(all_rollouts - len(valid)),
        "rollout/error_fraction": 1.0 - len(valid) / all_rollouts if all_rollouts else None,
        **_length_metrics(valid, reasoned),
        **_text_metrics(reasoned),
        **_style_metrics(reasoned),
        **language_metrics(groups),
    }
    return {key: value for key, value in metrics.items() if value is not None}


def has_zero_variance(group: Group) -> bool:
    """Whether all valid rewards of the group are equal, so that every advantage is 0."""
    return len({r.reward for r in valid_rollouts(group)}) <= 1


def has_mixed_verdicts(group: Group) -> bool:
    """DAPO's condition for dynamic sampling: 0 < number of correct rollouts < all of them."""
    return 0 < sum(r.is_correct for r in valid_rollouts(group)) < len(valid_rollouts(group))


def _reward_metrics(valid: Sequence[Rollout]) -> dict[str, float | None]:
    parts = sorted({name for r in valid for name in r.reward_parts})
    return {
        "reward/mean": mean(r.reward for r in valid if r.reward is not None),
        **{
            f"reward/{name}": mean(r.reward_parts[name] for r in valid if name in r.reward_parts)
            for name in parts
        },
    }


def _group_metrics(groups: Sequence[Group], reasoning: Sequence[Group]) -> dict[str, float | None]:
    judged = [group for group in groups if valid_rollouts(group)]
    rates = pass_rates(reasoning)
    return {
        "rollout/pass_rate": mean(rates),
        "rollout/pass_rate_stderr": stderr(rates),
        "rollout/zero_variance_fraction": mean(float(has_zero_variance(g)) for g in judged),
        "rollout/solve_all_fraction": mean(float(rate == 1.0) for rate in rates),
        "rollout/solve_none_fraction": mean(float(rate == 0.0) for rate in rates),
    }


def _source_metrics(groups: Sequence[Group]) -> dict[str, float | None]:
    """Pass rate by where a problem is from: a task, a named source, a file (without its folder)."""
    by_source: dict[str, list[float]] = {}
    for group in groups:
        valid = valid_rollouts(group)
        source = group.problem.metadata.get("source") or group.problem.metadata.get("task")
        if valid and source:
            rate = sum(r.is_correct for r in valid) / len(valid)
            by_source.setdefault(PurePath(str(source)).name, []).append(rate)
    return {f"source/{name}": mean(rates) for name, rates in by_source.items()}


def _length_metrics(
    valid: Sequence[Rollout], reasoned: Sequence[Rollout]
) -> dict[str, float | None]:
    logprobs = [value for r in valid for value in r.completion.sampler_logprobs]
    sampled_entropy = mean(logprobs)
    return {
        "rollout/unparsable_fraction": mean(
            float(r.judgement.verdict is Verdict.UNPARSABLE) for r in valid
        ),
        "rollout/mean_tokens": mean(r.num_tokens for r in valid),
        "rollout/mean_tokens_correct": mean(r.num_tokens for r in reasoned if r.is_correct),
        "rollout/mean_tokens_wrong": mean(r.num_tokens for r in reasoned if not r.is_correct),
        "rollout/max_tokens": float(max((r.num_tokens for r in valid), default=0)),
        "rollout/truncated_fraction": mean(
            float(r.completion.finish_reason == "length") for r in valid
        ),
        "rollout/entropy": None if sampled_entropy is None else -sampled_entropy,
    }


def _text_metrics(valid: Sequence[Rollout]) -> dict[str, float | None]:
    counts = [count_by_word(r.completion.text) for r in valid]
    per_completion = [sum(c.values()) for c in counts]
    thousands = sum(r.num_tokens for r in valid) / 1000
    per_word = {
        f"text/{word}_per_1k_tokens": sum(c.get(word, 0) for c in counts) / thousands
        for word in REFLECTIVE_WORDS
        if thousands
    }
    return {
        "text/reflective_words_per_completion": mean(per_completion),
        "text/reflective_words_per_1k_tokens": (
            sum(per_completion) / thousands if thousands else None
        ),
        "text/reflective_share": mean(float(n > 0) for n in per_completion),
        **per_word,
    }


def _style_metrics(valid: Sequence[Rollout]) -> dict[str, float | None]:
    """Share of each way of thinking (text.styles), and how often it is right."""
    styles = [style_of(r.completion.text) for r in valid]
    metrics: dict[str, float | None] = {}
    for style in STYLES:
        correct = [float(r.is_correct) for r, s in zip(valid, styles, strict=True) if s == style]
        metrics[f"style/{style}_share"] = len(correct) / len(valid) if valid else None
        metrics[f"style/{style}_accuracy"] = mean(correct)
    return metrics
