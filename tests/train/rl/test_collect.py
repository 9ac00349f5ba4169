"""Dynamic sampling: rounds until enough groups are mixed, and no more than allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ponder.config.rl import RLConfig
from ponder.problems.stream import ProblemStream
from ponder.train.rl.collect import collect
from ponder.types import Group, Problem


class Numbers:
    """Problem i has the question "i"."""

    name = "numbers"

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> Problem:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Problem(str(index), str(index), "1")


def config(dynamic: bool, rounds: int = 4) -> RLConfig:
    return RLConfig.model_validate(
        {
            "batch": {"prompts_per_step": 4, "group_size": 2},
            "algorithm": {"dynamic_sampling": dynamic, "dynamic_sampling_rounds": rounds},
        }
    )


class Sampler:
    """Groups of which those whose number in the step is in ``mixed`` have 0 < correct < all."""

    def __init__(self, make_group: Any, mixed: set[int]) -> None:
        self.make_group, self.mixed = make_group, mixed
        self.seeds: list[int] = []
        self.seen: list[str] = []

    def __call__(self, problems: Sequence[Problem], seed: int) -> list[Group]:
        self.seeds.append(seed)
        groups = []
        for problem in problems:
            second = 0.0 if len(self.seen) in self.mixed else 1.0
            groups.append(self.make_group(problem.id, [1.0, second], [2, 2]))
            self.seen.append(problem.id)
        return groups


def test_without_dynamic_sampling_there_is_one_round(make_group: Any) -> None:
    sampler = Sampler(make_group, set())
    collected = collect(ProblemStream(Numbers(), 0), sampler, config(False), 0)
    assert collected.groups == collected.chosen
    assert len(collected.groups) == 4
    assert len(sampler.seeds) == 1


def test_rounds_go_on_until_enough_groups_are_mixed(make_group: Any) -> None:
    sampler = Sampler(make_group, {1, 4, 6, 9, 10})
    collected = collect(ProblemStream(Numbers(), 0), sampler, config(True), 3)
    assert len(collected.groups) == 12
    assert [g.problem.id for g in collected.chosen] == [sampler.seen[i] for i in (1, 4, 6, 9)]
    assert len(set(sampler.seeds)) == 3
    assert len(set(sampler.seen)) == 12


def test_after_the_last_round_the_batch_is_filled_up(make_group: Any) -> None:
    sampler = Sampler(make_group, {5})
    collected = collect(ProblemStream(Numbers(), 0), sampler, config(True, rounds=2), 0)
    assert [g.problem.id for g in collected.chosen] == [sampler.seen[i] for i in (5, 0, 1, 2)]


def test_seeds_follow_from_the_step(make_group: Any) -> None:
    seeds = []
    for step in (0, 0, 1):
        sampler = Sampler(make_group, set())
        collect(ProblemStream(Numbers(), 0), sampler, config(False), step)
        seeds += sampler.seeds
    assert seeds[0] == seeds[1] != seeds[2]
