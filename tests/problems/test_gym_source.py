"""reasoning-gym tasks as sources: settings, identity, reproducibility."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from ponder.errors import PonderError
from ponder.problems.gym import GymSource, task_names
from ponder.types import Verdict
from ponder.verify.gym_entries import gym_entry
from ponder.verify.verifiers import verify

SETTINGS = {"min_terms": 3, "max_terms": 4, "min_digits": 1, "max_digits": 2}


def test_a_problem_says_where_it_came_from() -> None:
    source = GymSource("chain_sum", SETTINGS, 5, 100)
    problem = source[7]
    assert len(source) == 100
    assert problem.verifier == "gym"
    where = dict(problem.metadata)
    assert json.loads(json.dumps(where)) == where
    assert (where["task"], where["seed"], where["index"]) == ("chain_sum", 5, 7)
    assert json.loads(where["settings"]) == SETTINGS
    expression = problem.question.removesuffix(" =").rpartition(": ")[2]
    assert eval(expression) == int(problem.answer)
    assert 3 <= len(expression.replace("-", "+").split("+")) <= 4


def test_problems_follow_from_settings_seed_and_index() -> None:
    one = GymSource("chain_sum", SETTINGS, 5, 100)
    same = GymSource("chain_sum", dict(reversed(SETTINGS.items())), 5, 9)
    other = GymSource("chain_sum", SETTINGS, 6, 100)
    longer = GymSource("chain_sum", SETTINGS | {"max_terms": 5}, 5, 100)
    gym_entry.cache_clear()
    backwards = [one[i] for i in reversed(range(9))][::-1]
    gym_entry.cache_clear()
    assert [same[i] for i in range(9)] == backwards
    ids = {source[i].id for source in (one, other, longer) for i in range(100)}
    assert len(ids) == 300
    mine = {one[i].question for i in range(100)}
    assert len(mine & {other[i].question for i in range(100)}) < 10  # not shifted by one seed


@pytest.mark.parametrize("index", [0, 99_999 * 64, 10**9 + 5])
def test_any_index_is_cheap(index: int) -> None:
    source = GymSource("chain_sum", SETTINGS, 5, 100)
    problem = source[index]
    assert verify(problem, f"<answer>{problem.answer}</answer>").verdict is Verdict.CORRECT


def test_problem_creation_is_fast() -> None:
    source = GymSource("chain_sum", SETTINGS, 5, 100_000)
    source[0]

    def seconds(start: int) -> float:
        began = time.perf_counter()
        for index in range(start, start + 200):
            source[index]
        return time.perf_counter() - began

    assert min(seconds(1000 * i) for i in range(1, 6)) / 200 < 0.001


@pytest.mark.parametrize(
    ("task", "settings", "field", "fix"),
    [
        ("chain_sun", {}, "problems.task", "closest: chain_sum"),
        ("", {}, "problems.task", "no such task"),
        ("composite", {}, "problems.task", "problems.mixture"),
        ("simple_integration", {}, "problems.task", "runs the model's answer"),
        ("ransom_note", {}, "problems.task", "every process"),
        ("chain_sum", {"min_term": 3}, "problems.settings.min_term", "did you mean min_terms?"),
        ("chain_sum", {"zzz": 3}, "problems.settings.zzz", "allow_negation"),
        ("chain_sum", {"seed": 3}, "problems.settings.seed", "use seed"),
        ("chain_sum", {"size": 3}, "problems.settings.size", "use problems.size"),
        ("chain_sum", {"min_terms": 9}, "problems.settings", "max_terms must be >= min_terms"),
        ("chain_sum", {"min_terms": "a"}, "problems.settings", "TypeError"),
        ("chain_sum", {"min_terms": {1}}, "problems.settings.min_terms", "use numbers"),
    ],
)
def test_mistakes_name_the_field_and_the_fix(
    task: str, settings: dict[str, Any], field: str, fix: str
) -> None:
    with pytest.raises(PonderError) as caught:
        GymSource(task, settings, 0, 10)
    assert caught.value.field == field
    assert fix in caught.value.fix


def test_bad_settings_list_the_valid_ones() -> None:
    with pytest.raises(PonderError, match=r"min_terms = 2, max_terms = 6, min_digits = 1"):
        GymSource("chain_sum", {"max_terms": 0}, 0, 10)


def test_the_exact_verifier_can_judge_a_task() -> None:
    problem = GymSource("gcd", {}, 0, 10, verifier="exact")[0]
    assert verify(problem, f"<answer>{problem.answer}.0</answer>").verdict is Verdict.CORRECT


SCRIPT = """
import hashlib, json, sys
from ponder.problems.gym import GymSource
found = {}
for task in json.loads(sys.argv[1]):
    source = GymSource(task, {}, 9, 1000)
    texts = [source[i * 17].question + source[i * 17].answer for i in range(int(sys.argv[2]))]
    found[task] = hashlib.sha256("|".join(texts).encode()).hexdigest()
print(json.dumps(found))
"""
NO_REFERENCE = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}


def hashes(tasks: list[str], count: int, hash_seed: int) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(tasks), str(count)],
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_problems_are_the_same_in_every_process() -> None:
    tasks = ["chain_sum", "countdown", "list_functions", "pool_matrix", "word_sorting"]
    assert hashes(tasks, 20, 1) == hashes(tasks, 20, 2)


@pytest.mark.slow
def test_every_task_is_the_same_in_every_process() -> None:
    tasks = [task for task in task_names() if task not in NO_REFERENCE]
    assert len(tasks) > 80
    one, two = hashes(tasks, 12, 1), hashes(tasks, 12, 2)
    assert [task for task in tasks if one[task] != two[task]] == []
