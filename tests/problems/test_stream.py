"""Streams: shuffled epochs, and going on where one stopped."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.errors import PonderError
from ponder.problems.sources import ListSource
from ponder.problems.stream import ProblemStream
from ponder.types import Problem


def source(n: int, name: str = "numbers") -> ListSource:
    return ListSource(name, [Problem(str(i), f"what is {i}?", str(i)) for i in range(n)])


def ids(problems: list[Problem]) -> list[int]:
    return [int(problem.id) for problem in problems]


def test_every_epoch_is_another_shuffle_of_everything() -> None:
    stream = ProblemStream(source(50), 3)
    epochs = [ids(stream.take(50)) for _ in range(4)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, list(range(50))]}) == 5


def test_the_order_follows_from_the_seed() -> None:
    assert ids(ProblemStream(source(50), 3).take(70)) == ids(ProblemStream(source(50), 3).take(70))
    assert ids(ProblemStream(source(50), 3).take(70)) != ids(ProblemStream(source(50), 4).take(70))


@settings(deadline=None)
@given(st.integers(1, 20), st.lists(st.integers(0, 30), max_size=8), st.integers(0, 8))
def test_restored_equals_uninterrupted(size: int, takes: list[int], stop: int) -> None:
    whole = ProblemStream(source(size), 1)
    expected = [ids(whole.take(n)) for n in takes]
    before = ProblemStream(source(size), 1)
    for n in takes[:stop]:
        before.take(n)
    state = json.loads(json.dumps(before.state()))
    after = ProblemStream(source(size), 1)
    after.restore(state)
    assert [ids(after.take(n)) for n in takes[stop:]] == expected[stop:]
    assert after.state() == whole.state()


def test_take_sizes_do_not_change_the_order() -> None:
    small, large = ProblemStream(source(7), 1), ProblemStream(source(7), 1)
    assert ids([p for _ in range(20) for p in small.take(1)]) == ids(large.take(20))


def test_a_late_resume_is_quick() -> None:
    stream = ProblemStream(source(1000), 1)
    stream.restore(stream.state() | {"position": 32 * 10_000_000})
    start = time.perf_counter()
    assert len(stream.take(32)) == 32
    assert time.perf_counter() - start < 0.1


def test_another_source_is_refused() -> None:
    state = ProblemStream(source(10), 1).state()
    with pytest.raises(PonderError, match="same problems"):
        ProblemStream(source(11), 1).restore(state)
    with pytest.raises(PonderError, match="same problems"):
        ProblemStream(source(10, "others"), 1).restore(state)


def test_an_empty_source_is_refused() -> None:
    with pytest.raises(PonderError, match="no problems"):
        ProblemStream(source(0), 1)
