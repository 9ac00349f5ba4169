"""From configs to problem sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint, is_heldout
from ponder.problems.split import ProblemSet, build_problems
from ponder.problems.stream import ProblemStream
from ponder.types import Problem, ProblemSource, Verdict
from ponder.verify.verifiers import verify

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k"


def build(seed: int = 0, **keys: Any) -> ProblemSet:
    return build_problems(ProblemsConfig(**keys), seed)


def first(source: ProblemSource, n: int) -> list[Problem]:
    return [source[i] for i in range(min(n, len(source)))]


def questions(source: ProblemSource, n: int) -> set[str]:
    return {fingerprint(problem.question) for problem in first(source, n)}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def qa(start: int, stop: int) -> list[dict[str, Any]]:
    return [{"question": f"what is {i}?", "answer": i} for i in range(start, stop)]


def test_a_task() -> None:
    made = build(task="chain_sum", settings={"max_terms": 3}, size=500)
    assert len(made.train) == 500
    assert not questions(made.train, 500) & questions(made.heldout, 200)
    assert len(questions(made.heldout, 200)) == 200
    assert made.notes() == []


def test_seeds_change_training_problems_but_not_the_held_out_ones() -> None:
    one, two = build(0, task="gcd"), build(1, task="gcd")
    assert first(one.heldout, 20) == first(two.heldout, 20)
    assert first(one.train, 20) != first(two.train, 20)
    assert first(one.train, 20) == first(build(0, task="gcd").train, 20)
    assert not questions(one.heldout, 100) & (questions(one.train, 500) | questions(two.train, 500))


def test_a_mixture() -> None:
    entries = [
        {"task": "chain_sum", "weight": 3.0, "settings": {"max_terms": 3}},
        {"task": "gcd"},
        {"task": "chain_sum", "settings": {"min_terms": 5, "max_terms": 5}},
    ]
    made = build(mixture=entries, size=1000)
    tasks = [problem.metadata["task"] for problem in first(made.train, 400)]
    assert 0.6 < tasks.count("chain_sum") / 400 < 0.95  # 4/5, 7 standard errors
    assert len({problem.id for problem in first(made.train, 400)}) == 400
    assert {problem.metadata["task"] for problem in first(made.heldout, 50)} == {"chain_sum", "gcd"}
    assert not questions(made.train, 400) & questions(made.heldout, 50)
    for problem in first(made.train, 20):
        text = f"<answer> {problem.answer} </answer>"
        assert verify(problem, text).verdict is Verdict.CORRECT


def test_a_stream_over_a_task_resumes() -> None:
    whole = ProblemStream(build(task="chain_sum", size=50).train, 5)
    taken = [problem.question for problem in whole.take(130)]
    half = ProblemStream(build(task="chain_sum", size=50).train, 5)
    half.take(77)
    resumed = ProblemStream(build(task="chain_sum", size=50).train, 5)
    resumed.restore(json.loads(json.dumps(half.state())))
    assert [problem.question for problem in resumed.take(53)] == taken[77:]


def test_a_tiny_task_says_how_many_there_are() -> None:
    settings = {"min_terms": 1, "max_terms": 1, "min_digits": 1, "max_digits": 1}
    made = build(task="chain_sum", settings=settings)
    with pytest.raises(PonderError, match=r"only \d different held-out questions"):
        first(made.heldout, 50)


def test_a_file_is_split_by_fingerprint(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", qa(0, 300))
    made = build(path=file)
    assert len(made.train) + len(made.heldout) == 300
    assert 15 < len(made.heldout) < 50
    assert all(is_heldout(problem.question) for problem in first(made.heldout, 300))
    assert not any(is_heldout(problem.question) for problem in first(made.train, 300))
    prints = [fingerprint(problem.question) for problem in first(made.heldout, 300)]
    assert prints == sorted(prints)
    assert made.train[0].verifier == "exact"


def test_held_out_questions_leave_the_training_split(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [*qa(0, 30), {"question": "WHAT is  35?", "answer": 35}])
    write(tmp_path / "test.jsonl", [*qa(20, 40), *qa(20, 22), {"question": "x?", "answer": "x"}])
    made = build(path=tmp_path, heldout_split="test")
    assert (len(made.train), len(made.heldout), made.num_overlapping) == (20, 20, 11)
    assert not questions(made.train, 99) & questions(made.heldout, 99)
    assert [row.reason for row in made.dropped] == [
        "repeated question",
        "repeated question",
        "the reference answer is not a number",
    ]
    notes = "\n".join(made.notes())
    assert "3 rows dropped" in notes
    assert "test.jsonl:23" in notes
    assert "11 training rows dropped" in notes


def test_all_of_training_held_out_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", qa(0, 5))
    write(tmp_path / "test.jsonl", qa(0, 9))
    with pytest.raises(PonderError, match="5 are held out too"):
        build(path=tmp_path, heldout_split="test")


@pytest.mark.parametrize(
    ("keys", "field", "fix"),
    [
        ({}, "problems", "give one of"),
        ({"task": "chain_sun"}, "problems.task", "closest: chain_sum"),
        ({"task": "game_of_life_halting"}, "problems.task", "nonsense -> correct"),
        ({"task": "graph_color"}, "problems.task", "no reference answers"),
        ({"task": "chain_sum", "verifier": "magic"}, "problems.verifier", "'exact', 'gym'"),
        ({"task": "chain_sum", "settings": {"max_terms": 6.5}}, "problems.task", "Error"),
        ({"task": "gcd", "heldout_split": "test"}, "problems.heldout_split", "means nothing"),
        ({"mixture": []}, "problems.mixture", "at least one"),
        ({"mixture": [{"weight": 1}]}, "problems.mixture[0].task", "name a task"),
        ({"mixture": [{"task": "gcd"}, {"task": "gc"}]}, "problems.mixture[1].task", "gcd"),
        ({"mixture": [{"task": "gcd", "weight": 0}]}, "problems.mixture[0].weight", "above 0"),
        ({"mixture": [{"task": "gcd", "wieght": 1}]}, "problems.mixture[0]", "only task, weight"),
        ({"mixture": [{"task": "gcd", "settings": 3}]}, "problems.mixture[0].settings", "table"),
        (
            {"mixture": [{"task": "gcd", "settings": {"x": 3}}]},
            "problems.mixture[0].settings.x",
            "min_numbers",
        ),
        ({"path": Path("/no/such/file.jsonl")}, "problems.path", "no such file"),
        ({"path": Path("a.jsonl"), "settings": {"a": 1}}, "problems.settings", "means nothing"),
        ({"path": Path("a.jsonl"), "verifier": "gym"}, "problems.verifier", "exact"),
        (
            {"path": Path("a"), "split": "test", "heldout_split": "test"},
            "problems.heldout_split",
            "must differ",
        ),
        ({"name": "gsm8k", "question_field": "x"}, "problems.question_field", "means nothing"),
    ],
)
@pytest.mark.filterwarnings("ignore:randrange:DeprecationWarning")
def test_mistakes_name_the_field_and_the_fix(keys: dict[str, Any], field: str, fix: str) -> None:
    with pytest.raises(PonderError) as caught:
        build(**keys)
    assert caught.value.field == field
    assert fix in caught.value.fix


def test_gsm8k_answers_stand_after_the_hashes(tmp_path: Path) -> None:
    rows = [
        {"question": "a?", "answer": "1 + 1 = <<1+1=2>>2\n#### 2"},
        {"question": "b?", "answer": "so #### is\n#### 1,234"},
        {"question": "c?", "answer": "no hashes 5"},
    ]
    write(tmp_path / "train.jsonl", rows)
    write(tmp_path / "test.jsonl", [{"question": "d?", "answer": "#### -3"}])
    made = build(name="gsm8k", path=tmp_path)
    assert [problem.answer for problem in first(made.train, 9)] == ["2", "1,234"]
    assert [problem.answer for problem in first(made.heldout, 9)] == ["-3"]
    assert [(row.place, row.reason) for row in made.dropped] == [
        ("train.jsonl:3", "no reference answer")
    ]


def test_gsm8k_whole() -> None:
    if not GSM8K.is_dir():
        pytest.skip(f"{GSM8K} is not on this machine")
    made = build(name="gsm8k", path=GSM8K)
    assert (len(made.train), len(made.heldout)) == (7473, 1319)
    assert made.dropped == []
    assert made.num_overlapping == 0
    one_file = build(name="gsm8k", path=GSM8K / "train.jsonl")
    assert len(one_file.train) + len(one_file.heldout) == 7473
    assert len(one_file.heldout) > 600
