"""From a config to problems: a training side and a held-out side without a question in common."""

from __future__ import annotations

from ponder.config.rl import ProblemsConfig
from ponder.problems.fingerprint import fingerprint, is_heldout
from ponder.problems.kinds import source_kind
from ponder.problems.mixture import mixture_problems
from ponder.problems.problem_set import ProblemSet
from ponder.problems.procedural import procedural_problems
from ponder.problems.renumbered import with_new_numbers
from ponder.problems.tabular import tabular_problems

__all__ = ["ProblemSet", "build_problems", "fingerprint", "is_heldout"]


def build_problems(config: ProblemsConfig, seed: int) -> ProblemSet:
    """The problems of a config; ``seed`` decides which ones a procedural task makes for training,
    and which numbers a problem is asked with again.

    Train and held-out are disjoint by fingerprint: the fingerprint itself decides the side (one
    question in ten is held out), or, where a held-out split is given, its questions leave the
    training rows.

    Raises:
        PonderError: anything that the user can mend, from an unknown task to a line of no JSON.
    """
    kind = source_kind(config)
    if kind == "task":
        return procedural_problems(config, seed)
    if kind == "mixture":
        return mixture_problems(config, seed)
    made = tabular_problems(config)
    return with_new_numbers(made, config, seed) if config.new_numbers else made
