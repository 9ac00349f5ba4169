"""The one idea: sample k completions for each problem and verify them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from ponder.seeds import derive_seed
from ponder.types import Completion, Generator, Group, Problem, Prompt, Rollout, Sampling


class Scorer(Protocol):
    """Judges a completion and rewards it. ``seed`` feeds rewards that toss a coin."""

    def __call__(self, problem: Problem, completion: Completion, seed: int) -> Rollout: ...


def rollout(
    problems: Sequence[Problem],
    generator: Generator,
    scorer: Scorer,
    make_prompt: Callable[[Problem], Prompt],
    group_size: int,
    sampling: Sampling,
    seed: int,
) -> list[Group]:
    """``group_size`` scored completions of each problem, in the order of ``problems``.

    What comes out follows from the weights, the problems, ``sampling`` and ``seed`` alone. The same
    problem may appear several times (a small source seen over and over): each appearance is a
    group of its own with other completions.
    """
    prompts = [make_prompt(problem) for problem in problems]
    groups: dict[int, Group] = {}
    for appearance, positions in enumerate(_appearances(problems)):
        wave_seed = seed if appearance == 0 else derive_seed(seed, "appearance", appearance)
        generated = generator.generate(
            [prompts[i] for i in positions], group_size, sampling, wave_seed
        )
        for i, completions in zip(positions, generated, strict=True):
            scored = [scorer(problems[i], completion, wave_seed) for completion in completions]
            groups[i] = Group(problems[i], prompts[i], scored)
    return [groups[i] for i in range(len(problems))]


def _appearances(problems: Sequence[Problem]) -> list[list[int]]:
    """Positions of the first appearances of each problem, of the second ones, and so on."""
    seen: Counter[str] = Counter()
    waves: defaultdict[int, list[int]] = defaultdict(list)
    for i, problem in enumerate(problems):
        waves[seen[problem.id]].append(i)
        seen[problem.id] += 1
    return [waves[n] for n in sorted(waves)]
