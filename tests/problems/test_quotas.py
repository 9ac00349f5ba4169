"""Quotas of a mixture: exact shares, nothing lost to rounding, and the place kept."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.mixed import MixedTrain
from ponder.problems.quotas import QuotaStream
from ponder.problems.sources import ListSource
from ponder.problems.split import build_problems
from ponder.types import Problem

SIZE = 1000


def source(name: str) -> ListSource:
    return ListSource(name, [Problem(f"{name}{i}", f"{name} {i}", "1") for i in range(SIZE)])


def stream(weights: list[float], opens: list[int] | None = None) -> QuotaStream:
    names = [chr(ord("a") + i) for i in range(len(weights))]
    return QuotaStream(MixedTrain([source(n) for n in names], weights, 0, SIZE), opens)


def counts(problems: list[Problem]) -> list[int]:
    found = Counter(problem.id[0] for problem in problems)
    return [found[name] for name in sorted(found)]


def test_every_take_has_its_share_to_the_problem() -> None:
    exact = stream([3.0, 1.0, 0.5, 0.5])
    assert [counts(exact.take(20)) for _ in range(5)] == [[12, 4, 2, 2]] * 5


def test_what_rounding_leaves_is_carried_over() -> None:
    thirds = stream([1.0, 1.0, 1.0])
    takes = [thirds.take(4) for _ in range(6)]
    assert sorted(map(sorted, map(counts, takes))) == [[1, 1, 2]] * 6
    assert counts([problem for take in takes for problem in take]) == [8, 8, 8]
    rare = stream([0.95, 0.05])
    given = [sum(p.id[0] == "b" for p in rare.take(4)) for _ in range(50)]
    assert sum(given) == 10  # a twentieth of 200
    assert set(given) == {0, 1}
    for first in range(50):
        assert abs(sum(given[:first]) - 0.2 * first) <= 1


def test_each_source_comes_in_its_order_and_begins_again_at_its_end() -> None:
    both = stream([1.0, 1.0])
    taken = [p.id for _ in range(SIZE // 4 + 1) for p in both.take(8) if p.id[0] == "a"]
    assert taken == [f"a{i % SIZE}" for i in range(SIZE + 4)]


def test_a_source_that_joins_later_leaves_its_share_to_the_others() -> None:
    late = stream([3.0, 1.0, 4.0], opens=[0, 0, 16])
    assert [counts(late.take(8)) for _ in range(2)] == [[6, 2]] * 2
    assert [counts(late.take(8)) for _ in range(2)] == [[3, 1, 4]] * 2
    with pytest.raises(PonderError, match="no source is open yet"):
        stream([1.0], opens=[1]).take(1)


@pytest.mark.parametrize("at", [1, 4, 7])
def test_restored_it_goes_on_as_if_nothing_had_been(at: int) -> None:
    def make() -> QuotaStream:
        return stream([0.7, 0.2, 0.1], opens=[0, 0, 15])

    whole = make()
    takes = [whole.take(5) for _ in range(12)]
    begun = make()
    for _ in range(at):
        begun.take(5)
    resumed = make()
    resumed.restore(json.loads(json.dumps(begun.state())))
    assert [resumed.take(5) for _ in range(12 - at)] == takes[at:]
    assert resumed.state() == whole.state()


def test_another_mixture_is_refused() -> None:
    state = stream([1.0, 1.0]).state()
    with pytest.raises(PonderError, match="use the same problems"):
        stream([1.0, 1.0, 1.0]).restore(state)
    old = {"position": 3, "length": SIZE, "source": "a+b"}
    with pytest.raises(PonderError, match="without quotas"):
        stream([1.0, 1.0]).restore(old)


def test_the_same_task_twice_has_no_id_twice_for_a_long_time() -> None:
    entries: list[dict[str, Any]] = [
        {"task": "chain_sum", "domain": "math"},
        {"task": "chain_sum", "domain": "more"},
    ]
    made = build_problems(ProblemsConfig(mixture=entries, size=400), 0).train
    assert isinstance(made, MixedTrain)
    taken = QuotaStream(made).take(60)
    assert len({problem.id for problem in taken}) == 60
    assert Counter(p.metadata["domain"] for p in taken) == {"math": 30, "more": 30}


@pytest.fixture
def general(tmp_path: Path) -> str:
    """Rows without any answer."""
    path = tmp_path / "general.jsonl"
    path.write_text("".join(json.dumps({"question": f"tell me {i}"}) + "\n" for i in range(80)))
    return str(path)


def test_general_problems_need_no_answer_and_are_never_held_out(general: str) -> None:
    entries: list[dict[str, Any]] = [
        {"task": "chain_sum", "weight": 3},
        {"path": general, "verifier": "helpful"},
        {"path": general, "verifier": "safety", "domain": "harm"},
    ]
    made = build_problems(ProblemsConfig(mixture=entries, size=500), 0)
    assert isinstance(made.train, MixedTrain)
    assert made.train.general == [False, True, True]
    taken = QuotaStream(made.train).take(50)
    found = Counter((p.metadata["domain"], p.verifier) for p in taken)
    assert found == {
        ("reasoning", "gym"): 30,
        ("general", "helpful"): 10,
        ("harm", "safety"): 10,
    }
    assert {made.heldout[i].verifier for i in range(60)} == {"gym"}
    alone = build_problems(ProblemsConfig(mixture=entries[1:]), 0)
    assert len(alone.heldout) == 0


def test_the_tasks_of_requests_may_be_judged_by_models() -> None:
    entries: list[dict[str, Any]] = [
        {"task": "products", "language": "both"},
        {"task": "requests", "language": "both", "verifier": "helpful"},
        {"task": "secrets", "language": "both", "verifier": "safety"},
    ]
    made = build_problems(ProblemsConfig(mixture=entries, size=300), 0).train
    assert isinstance(made, MixedTrain)
    taken = QuotaStream(made).take(9)
    assert [p.verifier for p in taken] == ["gym"] * 3 + ["helpful"] * 3 + ["safety"] * 3


@pytest.mark.parametrize("domain", ["", "Two Words", 3])
def test_a_domain_is_a_word(domain: object) -> None:
    entries: list[dict[str, Any]] = [{"task": "chain_sum", "domain": domain}]
    with pytest.raises(PonderError, match=r"problems\.mixture\[0\]\.domain"):
        build_problems(ProblemsConfig(mixture=entries), 0)
