"""Audits catch verifiers that lose references or give credit away."""

from __future__ import annotations

import pytest

from ponder.problems.audit import audit
from ponder.problems.gym import GymSource
from ponder.problems.sources import ListSource
from ponder.types import Problem


@pytest.mark.parametrize("task", ["chain_sum", "countdown", "maze", "prime_factorization"])
def test_good_tasks_are_clean(task: str) -> None:
    report = audit(GymSource(task, {}, 0, 5), 10)
    assert report.is_clean
    assert report.num_problems == 5
    assert report.counts() == {}
    assert report.lines() == [f"{task}: 5 problems, every probe judged rightly"]


def test_credit_for_nonsense_is_found() -> None:
    report = audit(GymSource("game_of_life_halting", {}, 0, 6), 6)
    assert report.counts() == {"nonsense": 6}
    assert "nonsense -> correct on 'xyzzy plugh'" in report.lines()[1]


def test_missing_references_are_found() -> None:
    report = audit(GymSource("graph_color", {}, 0, 3), 3)
    assert report.counts() == {"generation": 3}
    assert "no reference answers" in report.lines()[1]


def test_references_that_do_not_verify_are_found() -> None:
    problems = [Problem("a", "q", "5"), Problem("b", "q", "x+1")]
    report = audit(ListSource("two", problems), 2)
    assert [(f.problem_id, f.probe) for f in report.failures] == [
        ("b", "reference"), ("b", "nonsense"), ("b", "empty"), ("b", "none"),
    ]  # fmt: skip
    assert not report.is_clean
    assert len(report.lines(limit=1)) == 2
