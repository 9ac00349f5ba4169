"""Mixtures, and the two sides of endless sources."""

from __future__ import annotations

from collections import Counter

import pytest

from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint, is_heldout
from ponder.problems.gym import GymSource
from ponder.problems.mixed import MixedTrain
from ponder.problems.sources import LANE, HeldoutSide, ListSource, TrainSide
from ponder.types import Problem
from ponder.verify.gym_entries import GymEntryError

SETTINGS = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}


class Counting:
    """An endless source of the questions 0..different-1 over and over; counts what is made."""

    name = "counting"

    def __init__(self, different: int, bad: int = 0) -> None:
        self.different = different
        self.bad = bad
        self.num_made = 0

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: int) -> Problem:
        self.num_made += 1
        number = index % self.different
        if self.bad and number % self.bad == 0:
            raise GymEntryError("this index cannot be made")
        if self.bad and number % self.bad == 1:
            return Problem(str(index), f"what is {number}?", "no number", "exact")
        return Problem(str(index), f"what is {number}?", str(number), "exact")


def test_sides_are_disjoint_and_reproducible() -> None:
    source = GymSource("chain_sum", SETTINGS, 1, 10)
    train, heldout = TrainSide(source, 3000), HeldoutSide(source, 300)
    train_questions = {fingerprint(train[i].question) for i in range(3000)}
    heldout_questions = [fingerprint(heldout[i].question) for i in range(300)]
    assert not train_questions & set(heldout_questions)
    assert len(set(heldout_questions)) == 300
    again = HeldoutSide(GymSource("chain_sum", SETTINGS, 1, 10), 300)
    assert [again[i] for i in range(300)] == [heldout[i] for i in range(300)]
    assert [train[i] for i in (7, 2999, 0)] == [TrainSide(source, 3000)[i] for i in (7, 2999, 0)]
    assert len({train[i].id for i in range(3000)}) == 3000


def test_a_far_position_replays_nothing() -> None:
    source = Counting(10**9)
    problem = TrainSide(source, 10**7)[9_999_999]
    assert source.num_made < LANE
    assert not is_heldout(problem.question)


def test_unusable_problems_are_skipped() -> None:
    """Every third index raises and every third has a reference that does not verify."""
    source = Counting(10**9, bad=3)
    for side in (TrainSide(source, 50), HeldoutSide(source, 50)):
        assert all(int(side[i].answer) % 3 == 2 for i in range(50))


def test_too_few_questions_is_an_error_and_no_hang() -> None:
    source = Counting(40)
    available = sum(is_heldout(f"what is {i}?") for i in range(40))
    assert available > 0
    heldout = HeldoutSide(source, 1000)
    assert len({heldout[i].question for i in range(available)}) == available
    with pytest.raises(PonderError, match=f"only {available} different held-out questions"):
        heldout[available]
    assert source.num_made < 10_000


def test_no_training_question_is_an_error_and_no_hang() -> None:
    number = next(i for i in range(1000) if is_heldout(f"what is {i}?"))
    only_heldout = ListSource("one", [Problem("a", f"what is {number}?", "1", "exact")] * LANE)
    with pytest.raises(PonderError, match=r"no usable training problem.*other side"):
        TrainSide(only_heldout, 1)[0]


def test_references_that_never_verify_say_so() -> None:
    bad = ListSource("bad", [Problem("a", "q", "x+1", "exact")] * LANE)
    side = HeldoutSide(bad, 1) if is_heldout("q") else TrainSide(bad, 1)
    with pytest.raises(PonderError, match=r"'x\+1' does not verify"):
        side[0]


def test_positions_outside_are_refused() -> None:
    source = Counting(10**9)
    for side in (TrainSide(source, 5), HeldoutSide(source, 5)):
        assert len(side) == 5
        for index in (-1, 5):
            with pytest.raises(IndexError):
                side[index]


def test_mixture_follows_the_weights_and_the_seed() -> None:
    sources = [ListSource(name, [Problem(name, name, "1")] * 200_000) for name in "abc"]
    mixture = MixedTrain(sources, [1.0, 2.0, 5.0], 3, 3000)
    drawn = [mixture[i].id for i in range(3000)]
    share = {name: count / 3000 for name, count in Counter(drawn).items()}
    assert abs(share["a"] - 1 / 8) < 0.03
    assert abs(share["b"] - 2 / 8) < 0.03
    assert abs(share["c"] - 5 / 8) < 0.03
    heavier = MixedTrain(sources, [2.0, 4.0, 10.0], 3, 3000)
    other = MixedTrain(sources, [1.0, 2.0, 5.0], 4, 3000)
    assert drawn == [heavier[i].id for i in range(3000)]
    assert drawn != [other[i].id for i in range(3000)]
    assert mixture.name == "a+b+c"
