"""Which problems a stage samples: drawn by seed, their reference answers verified."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from ponder.config.sampling_stage import SampledConfig
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.words import count_text
from ponder.seeds import derive_seed

if TYPE_CHECKING:
    from ponder.problems.problem_set import ProblemSet
    from ponder.verify.verifier_pool import VerifierPool

_LOOK_AHEAD = 16
"""Problems whose verifiers are made ready before the first sample."""


def drawn(num_problems: int, at_most: int, seed: int) -> list[int]:
    """Which of so many training problems are sampled, in which order: by ``seed``, none twice."""
    chance = Random(derive_seed(seed, "problems"))
    return chance.sample(range(num_problems), min(num_problems, at_most))


def open_problems(context: StageContext, pool: VerifierPool) -> ProblemSet:
    """The problems of a stage; what is worth telling of them is told.

    Raises:
        PonderError: they cannot be read, or a reference answer is wrong.
    """
    from ponder.problems.split import build_problems

    config = context.config
    assert isinstance(config, SampledConfig)
    problems = build_problems(config.problems, config.seed)
    wrong = [row for row in problems.dropped if row.reason != "repeated question"]
    if wrong and config.collect.bad_references == "error":
        first, more = wrong[0], len(wrong) - 1
        others = f" (and those of {count_text(more, 'more row')})" if more else ""
        fix = (
            f"{first.place}: this reference answer cannot be used{others}: {first.reason}; mend "
            "it, or leave such rows out with collect.bad_references=drop"
        )
        raise PonderError("problems", first.answer, fix)
    order = drawn(len(problems.train), config.collect.num_problems, config.seed)
    first_ones = [problems.train[i] for i in order[:_LOOK_AHEAD]]
    for note in (*pool.prepare(first_ones, config.unsafe), *problems.notes()):
        context.view.note(note)
    return problems
