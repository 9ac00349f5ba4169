"""From a config to problems: a training side and a held-out side without a question in common."""

from __future__ import annotations

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint, is_heldout
from ponder.problems.problem_set import ProblemSet
from ponder.problems.procedural import procedural_problems
from ponder.problems.tabular import tabular_problems

__all__ = ["ProblemSet", "build_problems", "fingerprint", "is_heldout"]

_ONLY_FOR = {
    "settings": ("task",),
    "split": ("path", "hub", "name"),
    "heldout_split": ("path", "hub", "name"),
    "question_field": ("path", "hub"),
    "answer_field": ("path", "hub"),
    "hub_config": ("hub", "name"),
}
"""Keys of [problems] and the sources that they mean something for."""


def build_problems(config: ProblemsConfig, seed: int) -> ProblemSet:
    """The problems of a config; ``seed`` decides which ones a procedural task makes for training.

    Train and held-out are disjoint by fingerprint: the fingerprint itself decides the side (one
    question in ten is held out), or, where a held-out split is given, its questions leave the
    training rows.

    Raises:
        PonderError: anything that the user can mend, from an unknown task to a line of no JSON.
    """
    source = _source(config)
    for key, sources in _ONLY_FOR.items():
        value = getattr(config, key)
        if value != ProblemsConfig.model_fields[key].get_default(call_default_factory=True) and (
            source not in sources
        ):
            fix = f"means nothing for problems.{source}; remove it"
            raise PonderError(f"problems.{key}", value, fix)
    if source in ("task", "mixture"):
        return procedural_problems(config, seed)
    return tabular_problems(config)


def _source(config: ProblemsConfig) -> str:
    for key in ("task", "mixture", "name", "path", "hub"):
        if getattr(config, key) is not None:
            return key
    fix = 'give one of task, mixture, path, hub, name, e.g. task = "chain_sum"'
    raise PonderError("problems", None, fix)
