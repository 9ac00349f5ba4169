"""What the stage table says of completions beside their verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ponder.evals.metrics import mean_and_stderr
from ponder.text.repetition import ending_loop
from ponder.types import Group, Rollout, Verdict

ONE_LANGUAGE = 0.95
"""At least this share of a thought's words must be in one language for it to be readable."""
LITTLE_REPETITION = -0.1
"""At least this repetition part (see ``text.repetition``)."""


def accuracy(rollout: Rollout) -> float:
    """1 if the verdict is correct."""
    return float(rollout.is_correct)


def tokens(rollout: Rollout) -> float:
    """Length of the completion."""
    return float(rollout.num_tokens)


def consistency(rollout: Rollout) -> float:
    """The share of the thought's words that are in the question's language."""
    return rollout.reward_parts["language"]


def readability(rollout: Rollout) -> float:
    """1 if a person could read it: it ended, in one language, without repeating itself.

    The paper filters its cold-start data for readability by repetition and language mixing
    (R1v2 B.3.2) and gives no number; the thresholds are ours.
    """
    parts, completion = rollout.reward_parts, rollout.completion
    return float(
        completion.finish_reason == "stop"
        and parts["language"] >= ONE_LANGUAGE
        and parts["repetition"] >= LITTLE_REPETITION
        and ending_loop(completion.text) is None
    )


MEASURES: Mapping[str, Callable[[Rollout], float]] = {
    "accuracy": accuracy,
    "tokens": tokens,
    "readability": readability,
    "language_consistency": consistency,
}


def measures_of(groups: Sequence[Group]) -> dict[str, dict[str, float | int | None]]:
    """By measure, {"value", "stderr" (None of a single problem), "num_problems"}.

    Means over problems of their means over samples, errors clustered by problem
    (``mean_and_stderr``); rollouts whose verdict is ``error`` leave.
    """
    found: dict[str, dict[str, float | int | None]] = {}
    for name, measure in MEASURES.items():
        means = [
            math.fsum(values) / len(values)
            for group in groups
            if (values := [measure(r) for r in group.rollouts if _counts(r)])
        ]
        value, stderr = mean_and_stderr(means)
        error = None if math.isnan(stderr) else stderr
        found[name] = {"value": value, "stderr": error, "num_problems": len(means)}
    return found


def _counts(rollout: Rollout) -> bool:
    return rollout.judgement.verdict is not Verdict.ERROR
