"""The rollouts of a step: one round, or as many as dynamic sampling needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ponder.config.rl import RLConfig
from ponder.rollout.stats import has_mixed_verdicts
from ponder.seeds import derive_seed
from ponder.types import Group, Problem


class Stream(Protocol):
    """Problems in the order of training: ``ProblemStream``, of mixtures ``QuotaStream``."""

    def take(self, n: int) -> list[Problem]: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


Sample = Callable[[Sequence[Problem], int], list[Group]]
"""(problems, seed) -> groups: ``rollout`` with everything else filled in."""


@dataclass(frozen=True, slots=True)
class Collected:
    """``groups`` is everything that was sampled; ``chosen`` are those that the step trains on."""

    groups: list[Group]
    chosen: list[Group]


def collect(stream: Stream, sample: Sample, config: RLConfig, step: int) -> Collected:
    """The groups of a step.

    With dynamic sampling (DAPO 2503.14476 section 3.2) more problems are sampled, in rounds of
    ``prompts_per_step``, until as many groups have 0 < correct < all. After
    ``dynamic_sampling_rounds`` the batch is filled with the earliest of the others: they add
    nothing to the gradient, and the batch keeps its size.
    """
    algorithm, wanted = config.algorithm, config.batch.prompts_per_step
    groups: list[Group] = []
    for sampling_round in range(algorithm.dynamic_sampling_rounds):
        seed = derive_seed(config.seed, "rollout", step, sampling_round)
        groups += sample(stream.take(wanted), seed)
        if not algorithm.dynamic_sampling:
            return Collected(groups, groups)
        if sum(has_mixed_verdicts(group) for group in groups) >= wanted:
            break
    mixed = [group for group in groups if has_mixed_verdicts(group)]
    others = [group for group in groups if not has_mixed_verdicts(group)]
    return Collected(groups, (mixed + others)[:wanted])
