"""What the stage table says of completions beside their verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ponder.config.curate import FilterConfig
from ponder.curate.choose import candidates_of
from ponder.curate.filters import drop_reason
from ponder.curate.row import Row
from ponder.evals.metrics import mean_and_stderr
from ponder.text.reflection import count_reflective_words
from ponder.text.reflection_zh import count_chinese_reflective_words
from ponder.types import Group, Rollout, Verdict

READABLE = FilterConfig(format="any")
"""What a completion must be like to count as readable: as for data, but for the tags."""


def accuracy(rollout: Rollout, row: Row) -> float:
    """1 if the verdict is correct."""
    return float(rollout.is_correct)


def tokens(rollout: Rollout, row: Row) -> float:
    """Length of the completion."""
    return float(rollout.num_tokens)


def consistency(rollout: Rollout, row: Row) -> float:
    """The share of the thought's words that are in the question's language."""
    return rollout.reward_parts["language"]


def readability(rollout: Rollout, row: Row) -> float:
    """1 if a person could read it: it ended, in one language, without repeating itself.

    These are the filters of cold-start data (``curate.filters``), whose thresholds are ours.
    """
    return float(drop_reason(row, READABLE) is None)


def reflection(rollout: Rollout, row: Row) -> float:
    """Reflective words: the paper's ten and their Chinese counterparts."""
    text = rollout.completion.text
    return float(count_reflective_words(text) + count_chinese_reflective_words(text))


MEASURES: Mapping[str, Callable[[Rollout, Row], float]] = {
    "accuracy": accuracy,
    "tokens": tokens,
    "readability": readability,
    "language_consistency": consistency,
    "reflection": reflection,
}


def measures_of(groups: Sequence[Group]) -> dict[str, dict[str, float | int | None]]:
    """By measure, {"value", "stderr" (None of a single problem), "num_problems"}.

    Means over problems of their means over samples, errors clustered by problem
    (``mean_and_stderr``); rollouts whose verdict is ``error`` leave.
    """
    counting = [
        [
            (rollout, candidate.row)
            for rollout, candidate in zip(group.rollouts, candidates_of(group, "", ""), strict=True)
            if rollout.judgement.verdict is not Verdict.ERROR
        ]
        for group in groups
    ]
    found: dict[str, dict[str, float | int | None]] = {}
    for name, measure in MEASURES.items():
        means = [
            math.fsum(measure(*pair) for pair in pairs) / len(pairs) for pairs in counting if pairs
        ]
        value, stderr = mean_and_stderr(means)
        error = None if math.isnan(stderr) else stderr
        found[name] = {"value": value, "stderr": error, "num_problems": len(means)}
    return found
