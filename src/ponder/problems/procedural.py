"""Problem sets of reasoning-gym tasks and of mixtures of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.audit import AuditReport, audit
from ponder.problems.gym import GymSource
from ponder.problems.problem_set import ProblemSet
from ponder.problems.sources import HeldoutSide, Mixture, TrainSide
from ponder.types import ProblemSource, Verdict

HELDOUT_SIZE = 10_000
"""Most held-out problems; they are made when asked for."""
HELDOUT_SEED = 20_250_122
"""Held-out problems do not depend on the run's seed, so that runs can be compared on them."""
AUDIT_PROBLEMS = 8


@dataclass(frozen=True, slots=True)
class _Component:
    """A task of a mixture, and where in the config it stands."""

    task: str
    settings: Mapping[str, Any]
    weight: float
    field: str

    def source(self, seed: int, config: ProblemsConfig) -> GymSource:
        verifier = config.verifier or "gym"
        return GymSource(self.task, self.settings, seed, config.size, verifier, self.field)


def procedural_problems(config: ProblemsConfig, seed: int) -> ProblemSet:
    """Problems of ``config.task`` or ``config.mixture``; the fingerprint decides the side.

    Raises PonderError for what is wrong with a task, its settings or its weight, and for a task
    whose references mostly fail or whose scorer credits nonsense.
    """
    components = _components(config)
    audits = [_audited(part.source(seed, config), part.field) for part in components]
    return ProblemSet(
        train=TrainSide(_endless(components, seed, config), config.size),
        heldout=HeldoutSide(_endless(components, HELDOUT_SEED, config), HELDOUT_SIZE),
        audits=audits,
    )


def _endless(components: list[_Component], seed: int, config: ProblemsConfig) -> ProblemSource:
    sources = [part.source(seed, config) for part in components]
    if config.mixture is None:
        return sources[0]
    return Mixture(sources, [part.weight for part in components], seed)


def _components(config: ProblemsConfig) -> list[_Component]:
    if config.task is not None:
        return [_Component(config.task, config.settings, 1.0, "problems")]
    if not config.mixture:
        raise PonderError("problems.mixture", config.mixture, "name at least one task")
    return [_component(entry, f"problems.mixture[{i}]") for i, entry in enumerate(config.mixture)]


def _component(entry: Mapping[str, Any], field: str) -> _Component:
    if unknown := set(entry) - {"task", "weight", "settings"}:
        raise PonderError(field, sorted(unknown), "an entry has only task, weight and settings")
    task, settings, weight = entry.get("task"), entry.get("settings", {}), entry.get("weight", 1.0)
    if not isinstance(task, str):
        raise PonderError(f"{field}.task", task, 'name a task, e.g. "chain_sum"')
    if not isinstance(settings, Mapping):
        raise PonderError(f"{field}.settings", settings, "use a table, e.g. { min_terms = 3 }")
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not 0 < weight < float("inf"):
        raise PonderError(f"{field}.weight", weight, "use a number above 0")
    return _Component(task, settings, float(weight), field)


def _audited(source: GymSource, field: str) -> AuditReport:
    report = audit(source, AUDIT_PROBLEMS)
    counts = report.counts()
    lost = counts.get("reference", 0) + counts.get("generation", 0)
    has_free_credit = any(
        failure.probe != "reference" and failure.judgement.verdict is Verdict.CORRECT
        for failure in report.failures
    )
    if 2 * lost > report.num_problems or has_free_credit:
        fix = "this task cannot be trained on: " + "; ".join(report.lines(limit=2))
        raise PonderError(f"{field}.task", source.name, fix)
    return report
