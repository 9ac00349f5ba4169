"""Which of the samples of one problem are kept.

DeepSeek-R1 (arXiv 2501.12948 v2, B.3.3): "for each prompt, we sample multiple responses and retain
only the correct ones", those with mixed languages, long paragraphs or code blocks left out. How
many were sampled and how many of the correct ones were kept is not printed: the default here is
one, by lot. ``shortest`` favours brevity, ``diverse`` different ways to the same answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ponder.config.curate import ChooseConfig, FilterConfig
from ponder.curate.filters import drop_reason
from ponder.curate.row import Row
from ponder.types import Group, Verdict

NGRAM = 4
"""Words of the n-grams by which ``diverse`` compares."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sample of a problem, as the row that it would be.

    ``verdict`` is of its answer; ``num_tokens`` of its completion.
    """

    row: Row
    verdict: Verdict
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What was kept of one problem, and how many samples were dropped for each reason."""

    rows: list[Row] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


def candidates_of(group: Group, domain: str, source: str) -> list[Candidate]:
    """The rollouts of a group as candidates.

    Their rows carry the question, the reference answer and where they are from; ids are
    "PROBLEM/SAMPLE".
    """
    problem = group.problem
    return [
        Candidate(
            Row(
                f"{problem.id}/{rollout.completion.sample_index}",
                group.prompt.text,
                rollout.completion.text,
                domain,
                source,
                {
                    "question": problem.question,
                    "answer": problem.answer,
                    "problem_id": problem.id,
                    "num_tokens": rollout.num_tokens,
                    "finish_reason": rollout.completion.finish_reason,
                },
            ),
            rollout.judgement.verdict,
            rollout.num_tokens,
        )
        for rollout in group.rollouts
    ]


def choose(
    candidates: Sequence[Candidate], config: ChooseConfig, filters: FilterConfig, seed: int = 0
) -> Choice:
    """Of the samples of one problem: the correct, then the readable, then some by the rule.

    The lot of ``random`` follows from (seed, ids); ties of the other rules go to the earlier one.
    """
    dropped: Counter[str] = Counter()
    left: list[Candidate] = []
    for one in candidates:
        if one.verdict is not Verdict.CORRECT:
            dropped[one.verdict.value] += 1
        elif reason := drop_reason(one.row, filters):
            dropped[reason] += 1
        else:
            left.append(one)
    kept = _RULES[config.rule](left, min(config.at_most, len(left)), seed)
    if len(left) > len(kept):
        dropped["not chosen"] += len(left) - len(kept)
    return Choice([one.row for one in kept], dict(sorted(dropped.items())))


def _shortest(left: list[Candidate], count: int, seed: int) -> list[Candidate]:
    return sorted(left, key=lambda one: one.num_tokens)[:count]


def _random(left: list[Candidate], count: int, seed: int) -> list[Candidate]:
    ids = "\n".join(one.row.id for one in left)
    chance = random.Random(f"{seed}\n{ids}")
    return [left[place] for place in sorted(chance.sample(range(len(left)), count))]


def _diverse(left: list[Candidate], count: int, seed: int) -> list[Candidate]:
    """The shortest, then each time the one whose nearest among those taken is farthest away."""
    if not left:
        return []
    grams = [_ngrams(one.row.completion) for one in left]
    taken = [min(range(len(left)), key=lambda place: left[place].num_tokens)]
    nearest = [overlap(one, grams[taken[0]]) for one in grams]
    while len(taken) < count:
        rest = [place for place in range(len(left)) if place not in taken]
        farthest = min(rest, key=lambda place: nearest[place])
        taken.append(farthest)
        pairs = zip(nearest, grams, strict=True)
        nearest = [max(near, overlap(one, grams[farthest])) for near, one in pairs]
    return [left[place] for place in taken]


def overlap(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> float:
    """The share of the n-grams of two texts that both have, in [0, 1] (the Jaccard index)."""
    both = len(left & right)
    either = len(left) + len(right) - both
    return both / either if either else 1.0


def _ngrams(text: str) -> frozenset[tuple[str, ...]]:
    words = text.casefold().split()
    starts = range(max(1, len(words) - NGRAM + 1))
    return frozenset(tuple(words[start : start + NGRAM]) for start in starts)


def _all(left: list[Candidate], count: int, seed: int) -> list[Candidate]:
    return left[:count]


_RULES: dict[str, Callable[[list[Candidate], int, int], list[Candidate]]] = {
    "shortest": _shortest,
    "diverse": _diverse,
    "random": _random,
    "all": _all,
}
