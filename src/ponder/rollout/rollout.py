"""The one idea: sample k completions for each problem and verify them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from ponder.seeds import derive_seed
from ponder.types import Completion, Generator, Group, Problem, Prompt, Rollout, Sampling

Pending = Callable[[], Rollout]
"""Waits for the verdict of a completion, if need be, and returns its rollout."""


class Scorer(Protocol):
    """Judges completions and rewards them. ``seed`` feeds rewards that toss a coin."""

    def submit(
        self, problem: Problem, prompt: Prompt, completion: Completion, seed: int
    ) -> Pending:
        """Have a completion judged, without waiting for the verdict."""
        ...


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

    Completions are judged while others are still being sampled.

    What comes out follows from the weights, the problems, ``sampling`` and ``seed`` alone. The same
    problem may appear several times (a small source seen over and over): each appearance is a
    group of its own with other completions.
    """
    prompts = [make_prompt(problem) for problem in problems]
    groups: dict[int, Group] = {}
    for appearance, positions in enumerate(_appearances(problems)):
        wave_seed = seed if appearance == 0 else derive_seed(seed, "appearance", appearance)
        wave = [prompts[i] for i in positions]
        judging = _Judging(scorer, [problems[i] for i in positions], wave, wave_seed)
        generated = generator.generate(wave, group_size, sampling, wave_seed, judging.begin)
        for i, completions in zip(positions, generated, strict=True):
            scored = [judging.rollout_of(completion) for completion in completions]
            groups[i] = Group(problems[i], prompts[i], scored)
    return [groups[i] for i in range(len(problems))]


class _Judging:
    """The completions of one wave that are being judged."""

    def __init__(
        self, scorer: Scorer, problems: Sequence[Problem], prompts: Sequence[Prompt], seed: int
    ) -> None:
        self._scorer = scorer
        self._asked = {p.id: (p, prompt) for p, prompt in zip(problems, prompts, strict=True)}
        self._seed = seed
        self._pending: dict[tuple[str, int], Pending] = {}

    def begin(self, completion: Completion) -> None:
        key = (completion.problem_id, completion.sample_index)
        assert key not in self._pending, f"the generator finished {key} twice"
        problem, prompt = self._asked[completion.problem_id]
        self._pending[key] = self._scorer.submit(problem, prompt, completion, self._seed)

    def rollout_of(self, completion: Completion) -> Rollout:
        return self._pending.pop((completion.problem_id, completion.sample_index))()


def _appearances(problems: Sequence[Problem]) -> list[list[int]]:
    """Positions of the first appearances of each problem, of the second ones, and so on."""
    seen: Counter[str] = Counter()
    waves: defaultdict[int, list[int]] = defaultdict(list)
    for i, problem in enumerate(problems):
        waves[seen[problem.id]].append(i)
        seen[problem.id] += 1
    return [waves[n] for n in sorted(waves)]
