"""Training problems that come again with other numbers; held-out ones stay as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ponder.config.rl import WORKED_PROBLEMS, ProblemsConfig
from ponder.config.solutions import SolutionsConfig
from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint
from ponder.problems.renumbered import Renumbered
from ponder.problems.solved import SOLUTIONS, Solved
from ponder.problems.split import ProblemSet, build_problems
from ponder.types import Problem

SOLD = ("Tom has 48 cards and sells 12.", "He has 48-12 = <<48-12=36>>36 cards.\n#### 36")
FIXED = ("What is said?", "Nothing that could be traced.\n#### 7")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, rows in (("train", [SOLD, FIXED]), ("test", [FIXED[:1] + SOLD[1:]])):
        lines = [json.dumps({"question": q + split, "answer": a}) for q, a in rows]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    return tmp_path


def problems(folder: Path, times: int, seed: int = 0) -> ProblemSet:
    config = ProblemsConfig(name="gsm8k", path=folder, new_numbers=times)
    return build_problems(config, seed)


def listed(made: ProblemSet) -> list[Problem]:
    return [made.train[index] for index in range(len(made.train))]


def test_each_comes_equally_often_and_the_answer_follows_the_numbers(folder: Path) -> None:
    plain, made = listed(problems(folder, 0)), listed(problems(folder, 4))
    assert made[:2] == plain
    assert len(made) == 10
    assert len({problem.id for problem in made}) == 10
    sold = [problem for problem in made if "cards" in problem.question]
    assert len(sold) == 5
    assert len({problem.question for problem in sold}) == 5
    for problem in sold:
        first, second = map(int, re.findall(r"\d+", problem.question))
        assert problem.answer == str(first - second)
        assert problem.verifier == plain[0].verifier
    untraced = [problem for problem in made if "said" in problem.question]
    assert {problem.question for problem in untraced} == {FIXED[0] + "train"}


def test_the_same_seed_asks_the_same(folder: Path) -> None:
    assert listed(problems(folder, 4)) == listed(problems(folder, 4))
    assert listed(problems(folder, 4)) != listed(problems(folder, 4, seed=1))
    held = problems(folder, 4).heldout
    assert [held[0].question] == [problems(folder, 0).heldout[0].question]


def test_a_held_out_question_is_never_made() -> None:
    problem = Problem("a", SOLD[0], "36")
    solution = SOLD[1].partition("####")[0]
    source = Renumbered("x", [Solved(problem, solution)], 30, seed=0)
    asked = {fingerprint(source[lap].question) for lap in range(1, 31)}
    left = Renumbered("x", [Solved(problem, solution)], 30, seed=0, excluded=asked - {min(asked)})
    assert {fingerprint(left[lap].question) for lap in range(1, 31)} == {min(asked)}
    with pytest.raises(IndexError):
        source[31]


def test_sources_without_solutions_are_refused() -> None:
    for source in ({"task": "gcd"}, {"name": "svamp"}, {"path": "x.jsonl"}):
        with pytest.raises(PonderError, match=r"new_numbers.*gsm8k, math"):
            ProblemsConfig(**source, new_numbers=2)
    assert set(WORKED_PROBLEMS) == set(SOLUTIONS)
    with pytest.raises(PonderError, match="variations"):
        SolutionsConfig(problems=ProblemsConfig(name="gsm8k", new_numbers=2))
