"""Evaluate a generator on problems: the same ``rollout`` as in training, averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ponder.errors import GuardError
from ponder.evals.result import EvalResult, ProblemResult, Sample
from ponder.rollout.rollout import Scorer, rollout
from ponder.text.reflection import count_reflective_words
from ponder.text.styles import style_of
from ponder.types import Generator, Group, Problem, Prompt, Rollout, Sampling

R1_TEMPERATURE = 0.6
R1_TOP_P = 0.95


def r1_sampling(max_completion_tokens: int) -> Sampling:
    """How DeepSeek-R1 is evaluated: temperature 0.6, top-p 0.95 (R1v2 appendix D.1)."""
    return Sampling(R1_TEMPERATURE, R1_TOP_P, max_completion_tokens=max_completion_tokens)


def evaluate(
    generator: Generator,
    problems: Sequence[Problem],
    scorer: Scorer,
    make_prompt: Callable[[Problem], Prompt],
    k: int,
    sampling: Sampling,
    seed: int,
) -> EvalResult:
    """Sample ``k`` completions of every problem and count.

    The rewards of ``scorer`` are not used but for the part named "format" (0 where there is none).
    Raises GuardError if every verdict is ``error``: then nothing was measured.
    """
    return result_of(
        rollout(problems, generator, scorer, make_prompt, k, sampling, seed), k, sampling, seed
    )


def result_of(groups: Sequence[Group], k: int, sampling: Sampling, seed: int) -> EvalResult:
    """The result of groups that have been sampled and scored already."""
    problems = [
        ProblemResult(
            group.problem.id,
            group.problem.question,
            group.problem.answer,
            [_sample(rollout) for rollout in group.rollouts],
        )
        for group in groups
    ]
    if not any(problem.valid for problem in problems):
        reasons = sorted({r.judgement.reason for group in groups for r in group.rollouts})
        raise GuardError(f"every verdict of the evaluation is an error: {reasons[:3]}")
    return EvalResult(k, seed, sampling, problems)


def _sample(rollout: Rollout) -> Sample:
    return Sample(
        verdict=rollout.judgement.verdict,
        answer=rollout.judgement.answer,
        num_tokens=rollout.num_tokens,
        has_format=rollout.reward_parts.get("format", 0.0) == 1.0,
        reflective_words=count_reflective_words(rollout.completion.text),
        is_truncated=rollout.completion.finish_reason == "length",
        style=style_of(rollout.completion.text),
    )
