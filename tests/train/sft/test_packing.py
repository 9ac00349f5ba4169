"""Best fit by length, and which samples an update looks at."""

from __future__ import annotations

import random
import time
from collections import Counter

import numpy as np
import pytest

from ponder.config.sft import SFTBatchConfig
from ponder.train.sft.packing import BatchPlan, fill_rate, pack


def test_best_fit_by_hand() -> None:
    # 7 opens a pack, 5 another, 4 goes to 5 (leaving 1, not to 7: 3), 3 fills up 7, 2 opens one.
    assert pack([5, 3, 7, 2, 4], 10) == [[2, 1], [0, 4], [3]]
    assert fill_rate([5, 3, 7, 2, 4], pack([5, 3, 7, 2, 4], 10), 10) == 21 / 30


def test_the_tightest_room_is_taken() -> None:
    lengths = [80, 70, 25, 20, 5]
    found = [[lengths[i] for i in members] for members in pack(lengths, 100)]
    assert found == [[80, 20], [70, 25, 5]]


@pytest.mark.parametrize("seed", range(5))
def test_every_sample_once_and_no_pack_too_full(seed: int) -> None:
    draw = random.Random(seed)
    lengths = [draw.randrange(1, 120) for _ in range(500)]
    packs = pack(lengths, 100)
    assert sorted(i for members in packs for i in members) == list(range(500))
    for members in packs:
        total = sum(lengths[i] for i in members)
        assert total <= 100 or len(members) == 1
    assert len(packs) == len(reference(lengths, 100))
    assert fill_rate(lengths, packs, 100) > 0.95


def reference(lengths: list[int], capacity: int) -> list[int]:
    """Best fit, the longest first, by looking at every pack; the room that each has left."""
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        if fitting:
            rooms[rooms.index(min(fitting))] -= length
        else:
            rooms.append(capacity - length)
    return rooms


def test_many_lengths_take_seconds_at_most() -> None:
    lengths = np.random.default_rng(0).integers(1, 32_768, 100_000).tolist()
    began = time.perf_counter()
    pack(lengths, 32_768)
    assert time.perf_counter() - began < 10


PLANS = {
    "samples": SFTBatchConfig(samples=7),
    "tokens": SFTBatchConfig(samples=0, tokens=300, window=40),
    "tokens of an epoch": SFTBatchConfig(samples=0, tokens=300, window=0),
}
LENGTHS = np.random.default_rng(3).integers(1, 200, 100)


@pytest.mark.parametrize("name", PLANS)
def test_epochs_have_every_sample_exactly_once(name: str) -> None:
    plan = BatchPlan(LENGTHS, PLANS[name], epochs=3, seed=1)
    by_epoch: dict[int, list[int]] = {}
    for step in range(plan.num_updates):
        by_epoch.setdefault(plan.epoch(step), []).extend(plan.indices(step))
    assert sorted(by_epoch) == [0, 1, 2]
    for indices in by_epoch.values():
        assert Counter(indices) == Counter(range(100))
    assert len({tuple(indices) for indices in by_epoch.values()}) == 3


@pytest.mark.parametrize("name", PLANS)
def test_an_update_follows_from_seed_and_step_alone(name: str) -> None:
    whole = BatchPlan(LENGTHS, PLANS[name], epochs=3, seed=1)
    steps = list(range(whole.num_updates))
    in_order = [whole.indices(step) for step in steps]
    random.Random(0).shuffle(steps)
    again = BatchPlan(LENGTHS, PLANS[name], epochs=3, seed=1)
    assert {step: again.indices(step) for step in steps} == dict(enumerate(in_order))
    other = BatchPlan(LENGTHS, PLANS[name], epochs=3, seed=2)
    assert [other.indices(step) for step in range(3)] != in_order[:3]


def test_sizes_of_updates() -> None:
    plan = BatchPlan(LENGTHS, PLANS["samples"], epochs=2, seed=0)
    sizes = [len(plan.indices(step)) for step in range(plan.num_updates)]
    assert sizes == ([7] * 14 + [2]) * 2
    plan = BatchPlan(LENGTHS, PLANS["tokens of an epoch"], epochs=1, seed=0)
    tokens = [int(LENGTHS[plan.indices(step)].sum()) for step in range(plan.num_updates)]
    assert max(tokens) <= 300
    assert sum(tokens) / (300 * len(tokens)) > 0.95
    # Best fit puts the long samples first; the updates are in an order of their own.
    longest = [int(LENGTHS[plan.indices(step)].max()) for step in range(plan.num_updates)]
    assert longest != sorted(longest, reverse=True)
