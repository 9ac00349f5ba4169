"""A step's groups by domain, and what its reward models said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ponder.types import PREFERENCES, Group, Rollout, Verdict
from ponder.verify.rewards import is_general


def valid_rollouts(group: Group) -> list[Rollout]:
    """The rollouts of a group whose verdict is not ``error``: those that have a reward."""
    return [r for r in group.rollouts if r.judgement.verdict is not Verdict.ERROR]


def reasoning_groups(groups: Sequence[Group]) -> list[Group]:
    """Those whose verdicts say what is right: all but those that a reward model judged."""
    return [group for group in groups if not is_general(group.problem)]


def domain_metrics(groups: Sequence[Group]) -> dict[str, float | None]:
    """``domain/NAME_share`` of the groups, ``_reward`` and ``_tokens`` (means), ``_pass_rate`` of
    its reasoning problems, ``_preference`` of its general ones; of problems that have a domain."""
    by_domain: dict[str, list[Group]] = {}
    for group in groups:
        if domain := group.problem.metadata.get("domain"):
            by_domain.setdefault(str(domain), []).append(group)
    metrics: dict[str, float | None] = {}
    for name in sorted(by_domain):
        found = by_domain[name]
        valid = [r for group in found for r in valid_rollouts(group)]
        general = [group for group in found if is_general(group.problem)]
        metrics |= {
            f"domain/{name}_share": len(found) / len(groups),
            f"domain/{name}_reward": mean(r.reward for r in valid if r.reward is not None),
            f"domain/{name}_tokens": mean(r.num_tokens for r in valid),
            f"domain/{name}_pass_rate": mean(pass_rates(reasoning_groups(found))),
            f"domain/{name}_preference": mean(_preferences(general)),
        }
    return metrics


def preference_metrics(groups: Sequence[Group]) -> dict[str, float | None]:
    """``preference/helpful_mean`` and ``safety_mean``: scores in [0, 1] over problems, with the
    standard error (``_stderr``) of that mean, problems being the clusters."""
    metrics: dict[str, float | None] = {}
    for name in PREFERENCES:
        scores = _preferences([group for group in groups if group.problem.verifier == name])
        metrics[f"preference/{name}_mean"] = mean(scores)
        metrics[f"preference/{name}_stderr"] = stderr(scores)
    return metrics


def pass_rates(groups: Sequence[Group]) -> list[float]:
    """The share of correct rollouts of each group that has valid ones."""
    valid = [valid_rollouts(group) for group in groups]
    return [sum(r.is_correct for r in found) / len(found) for found in valid if found]


def mean(values: Iterable[float]) -> float | None:
    """None of nothing."""
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else None


def stderr(values: Sequence[float]) -> float | None:
    """The standard error of the mean; None of fewer than two."""
    if len(values) < 2:
        return None
    middle = math.fsum(values) / len(values)
    squares = math.fsum((value - middle) ** 2 for value in values)
    return math.sqrt(squares / (len(values) * (len(values) - 1)))


def _preferences(groups: Sequence[Group]) -> list[float]:
    """The mean score of each group that has one."""
    means = [
        mean(r.judgement.score for r in valid_rollouts(group) if r.judgement.score is not None)
        for group in groups
    ]
    return [value for value in means if value is not None]
