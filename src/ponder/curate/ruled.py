"""Preferences by a rule in place of a judge: for small worlds, and for tests of what is learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ponder.curate.labels import Written
from ponder.curate.pairs import Candidate, PairSettings
from ponder.types import Group, Judgement, Verdict

MOST = 2.0
"""The margin between a score of 1 and one of 0: that of a judge who says "much better" always."""

Key = tuple[str, str]
"""(problem id, completion text)."""


def judgements(groups: Sequence[Group]) -> dict[Key, Judgement]:
    """What a rule, as the problems' verifier, said of every completion."""
    return {
        (group.problem.id, rollout.completion.text): rollout.judgement
        for group in groups
        for rollout in group.rollouts
    }


def score_of(judgement: Judgement) -> float | None:
    """The rule's score in [0, 1]; None where the rule failed."""
    if judgement.verdict is Verdict.ERROR:
        return None
    return (
        float(judgement.verdict is Verdict.CORRECT) if judgement.score is None else judgement.score
    )


class RuledPairs:
    """Margins of candidates from the scores of a rule, which knows of no order: one vote is all."""

    def __init__(self, said: Mapping[Key, Judgement], settings: PairSettings) -> None:
        self.settings = settings
        self._said = said

    def margins(self, candidates: Sequence[Candidate]) -> list[float | None]:
        """For each, how much its first completion is better, in [-2, 2]; None: the rule failed."""
        found: list[float | None] = []
        for one in candidates:
            name = one.id.rpartition("/")[0]
            first, second = (score_of(self._said[name, text]) for text in (one.first, one.second))
            found.append(None if first is None or second is None else MOST * (first - second))
        return found


class RuledLabels:
    """Labels from a rule: good is a score of 1."""

    def __init__(self, said: Mapping[Key, Judgement]) -> None:
        self._said = said

    def labels(self, items: Sequence[Written]) -> list[bool | None]:
        """One for each, in order; None: the rule failed."""
        scores = [
            score_of(self._said[item.id.rpartition("/")[0], item.completion]) for item in items
        ]
        return [None if score is None else score == 1.0 for score in scores]
