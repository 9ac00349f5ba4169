"""Rollouts inside the page: gzip + base64 of compact JSON, one piece per step.

The browser decodes a step when it is looked at. Where all steps would be too large together, steps
are left out evenly; where one step is too large, it keeps its first groups only.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.report.load import evenly
from ponder.runlog import read_rollouts
from ponder.runlog.rollouts import rollouts_path
from ponder.text.reflection import count_reflective_words
from ponder.types import Group, Rollout, Verdict
from ponder.verify.rewards import is_general

DEFAULT_LIMIT = 20 * 2**20
"""Characters of base64 in a page."""


@dataclass(frozen=True, slots=True)
class EmbeddedStep:
    """The rollouts of one step as they stand in the page.

    ``reflective`` and ``plain`` are (number of completions, number correct) of the completions
    of reasoning problems with and without a reflective word; verifier errors are in neither.
    """

    step: int
    num_groups: int
    kept_groups: int
    payload: str
    reflective: tuple[int, int]
    plain: tuple[int, int]


@dataclass(slots=True)
class Embedded:
    """What the page holds of the rollouts, and what had to stay out."""

    steps: list[EmbeddedStep]
    num_steps: int
    limit: int
    damaged: list[str] = field(default_factory=list)


def embed_rollouts(folder: Path, steps: Sequence[int], limit: int = DEFAULT_LIMIT) -> Embedded:
    """As many of the steps as fit into ``limit`` characters, evenly spread, first and last kept.

    A damaged file is left out and named in ``damaged``.
    """
    done: dict[int, EmbeddedStep | None] = {}
    damaged: list[str] = []

    def encode(step: int) -> EmbeddedStep | None:
        if step not in done:
            try:
                done[step] = encode_step(step, read_rollouts(rollouts_path(folder, step)), limit)
            except PonderError as error:
                done[step] = None
                damaged.append(str(error))
        return done[step]

    def total(indices: Iterable[int]) -> int:
        return sum(len(item.payload) for i in indices if (item := encode(steps[i])))

    kept = evenly(len(steps), _first_guess(len(steps), limit, total))
    while (size := total(kept)) > limit and len(kept) > 2:
        kept = evenly(len(steps), max(2, min(len(kept) - 1, len(kept) * limit // size)))
    whole = [item for i in kept if (item := encode(steps[i]))]
    return Embedded(whole, len(steps), limit, damaged)


def encode_step(step: int, groups: Sequence[Group], limit: int = DEFAULT_LIMIT) -> EmbeddedStep:
    """One step; it keeps its first groups only where all would take over a fourth of ``limit``."""
    kept = len(groups)
    payload = _payload(step, groups)
    while len(payload) > limit // 4 and kept > 1:
        kept = max(1, min(kept - 1, kept * (limit // 4) // len(payload)))
        payload = _payload(step, groups[:kept])
    rollouts = [
        (count_reflective_words(rollout.completion.text) > 0, rollout.is_correct)
        for group in groups
        if not is_general(group.problem)
        for rollout in group.rollouts
        if rollout.judgement.verdict is not Verdict.ERROR
    ]
    reflective = [correct for reflects, correct in rollouts if reflects]
    plain = [correct for reflects, correct in rollouts if not reflects]
    return EmbeddedStep(
        step,
        len(groups),
        kept,
        payload,
        (len(reflective), sum(reflective)),
        (len(plain), sum(plain)),
    )


def _first_guess(num_steps: int, limit: int, total: Callable[[Iterable[int]], int]) -> int:
    """How many steps probably fit, from the first, the middle and the last."""
    probes = sorted({0, num_steps // 2, num_steps - 1}) if num_steps else []
    mean = total(probes) / len(probes) if probes else 0
    return num_steps if mean == 0 else max(2, min(num_steps, int(limit / mean)))


def _payload(step: int, groups: Sequence[Group]) -> str:
    data = {"step": step, "groups": [_group(group) for group in groups]}
    packed = gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 9, mtime=0)
    return base64.b64encode(packed).decode("ascii")


def _group(group: Group) -> dict[str, Any]:
    problem = group.problem
    return {
        "id": problem.id,
        "question": problem.question,
        "answer": problem.answer,
        "verifier": problem.verifier,
        "prompt": group.prompt.text,
        "rollouts": [_rollout(rollout) for rollout in group.rollouts],
    }


def _rollout(rollout: Rollout) -> dict[str, Any]:
    completion, judgement = rollout.completion, rollout.judgement
    return {
        "text": completion.text,
        "tokens": rollout.num_tokens,
        "finish": completion.finish_reason,
        "verdict": judgement.verdict.value,
        "answer": judgement.answer,
        "reason": judgement.reason,
        "reward": _finite(rollout.reward),
        "parts": {name: _finite(value) for name, value in rollout.reward_parts.items()},
        "advantage": _finite(rollout.advantage),
    }


def _finite(value: float | None) -> float | str | None:
    """JSON has no NaN and no infinity; the page shows them as text."""
    return value if value is None or math.isfinite(value) else str(value)
