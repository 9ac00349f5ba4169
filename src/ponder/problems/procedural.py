"""Problem sets of a reasoning-gym task."""

from __future__ import annotations

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.audit import AuditReport, audit
from ponder.problems.gym import GymSource
from ponder.problems.languages import asked, asking
from ponder.problems.problem_set import ProblemSet
from ponder.problems.requests import RULES, RequestSource, check_requests
from ponder.problems.sources import HeldoutSide, TrainSide
from ponder.types import ProblemSource, Verdict

HELDOUT_SIZE = 10_000
"""Most held-out problems; they are made when asked for."""
HELDOUT_SEED = 20_250_122
"""Held-out problems do not depend on the run's seed, so that runs can be compared on them."""
AUDIT_PROBLEMS = 8


def procedural_problems(config: ProblemsConfig, seed: int) -> ProblemSet:
    """Problems of ``config.task``; the fingerprint decides the side.

    Raises PonderError for what is wrong with the task or its settings, and for a task whose
    references mostly fail or whose scorer credits nonsense.
    """
    source = task_source(config, seed)
    heldout = HeldoutSide(task_source(config, HELDOUT_SEED), HELDOUT_SIZE)
    return ProblemSet(
        train=asked(TrainSide(source, config.size), asking(config, seed)),
        heldout=asked(heldout, asking(config, HELDOUT_SEED)),
        audits=[] if source.name in RULES else [audited(source, "problems")],
    )


def task_source(
    config: ProblemsConfig, seed: int, field: str = "problems"
) -> GymSource | RequestSource:
    """The endless source of ``config.task``; ``field`` is where in the config it stands."""
    assert config.task is not None
    if config.task in RULES:
        check_requests(config.task, config.settings, field)
        return RequestSource(config.task, seed, config.size, config.language, config.verifier)
    verifier = config.verifier or "gym"
    return GymSource(config.task, config.settings, seed, config.size, verifier, field)


def audited(source: ProblemSource, field: str) -> AuditReport:
    """A small audit. PonderError if the task cannot be trained on."""
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
