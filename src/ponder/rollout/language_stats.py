"""In which language thoughts are, where problems say in which language they are asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ponder.text.language import (
    LANGUAGES,
    count_scripts,
    language_consistency,
    scripts_of,
)
from ponder.text.parsing import parse_completion
from ponder.text.reflection import count_reflective_words
from ponder.text.reflection_zh import count_chinese_reflective_words
from ponder.text.templates import THINK, opens_thought
from ponder.types import Group, Rollout, Verdict
from ponder.verify.rewards import is_general


@dataclass(frozen=True, slots=True)
class Thought:
    """What is said of the thought of one rollout."""

    asked: str
    consistency: float
    is_mixed: bool
    is_foreign: bool
    reflects: bool
    is_correct: bool
    is_general: bool


def language_metrics(groups: Sequence[Group]) -> dict[str, float | None]:
    """The ``language/`` metrics of a step: of problems whose ``metadata["language"]`` is a target.

    ``consistency``: the paper's share, of all thoughts and by the language asked in;
    ``mixed_share``: thoughts with words of several scripts; ``foreign_share``: with words, but none
    in the language asked in; ``reflective_share``: completions with a reflective word, the paper's
    or a Chinese one. They are measured whatever the reward is, so that runs without the language
    reward can be compared with those that have it.
    """
    thoughts = [
        _thought(group, rollout, asked)
        for group in groups
        if (asked := str(group.problem.metadata.get("language"))) in LANGUAGES
        for rollout in group.rollouts
        if rollout.judgement.verdict is not Verdict.ERROR
    ]
    if not thoughts:
        return {}
    metrics = {
        "language/consistency": _mean(thought.consistency for thought in thoughts),
        "language/mixed_share": _mean(thought.is_mixed for thought in thoughts),
        "language/foreign_share": _mean(thought.is_foreign for thought in thoughts),
        "language/reflective_share": _mean(thought.reflects for thought in thoughts),
    }
    for asked in sorted({thought.asked for thought in thoughts}):
        of_it = [thought for thought in thoughts if thought.asked == asked]
        metrics[f"language/consistency_{asked}"] = _mean(t.consistency for t in of_it)
        metrics[f"language/accuracy_{asked}"] = _mean(
            t.is_correct for t in of_it if not t.is_general
        )
    return metrics


def _thought(group: Group, rollout: Rollout, asked: str) -> Thought:
    text = (THINK if opens_thought(group.prompt.text) else "") + rollout.completion.text
    found = parse_completion(text).thought
    thought = text if found is None else found
    scripts = count_scripts(thought)
    return Thought(
        asked=asked,
        consistency=language_consistency(thought, asked),
        is_mixed=len(scripts) > 1,
        is_foreign=bool(scripts) and not any(scripts[name] for name in scripts_of(asked)),
        reflects=count_reflective_words(text) + count_chinese_reflective_words(text) > 0,
        is_correct=rollout.is_correct,
        is_general=is_general(group.problem),
    )


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else None
