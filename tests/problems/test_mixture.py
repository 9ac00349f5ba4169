"""Mixtures of any sources."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint
from ponder.problems.split import ProblemSet, build_problems
from ponder.problems.stream import ProblemStream
from ponder.types import Problem, ProblemSource, Verdict
from ponder.verify.verifiers import verify


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def sums(start: int, stop: int) -> list[dict[str, Any]]:
    return [{"question": f"what is {i} + 1?", "answer": i + 1} for i in range(start, stop)]


def choices(n: int) -> list[dict[str, Any]]:
    return [
        {"question": f"number {i}?", "choices": [str(i), str(-i)], "answer": 0}
        for i in range(1, n + 1)
    ]


def build(entries: list[dict[str, Any]], seed: int = 0, **keys: Any) -> ProblemSet:
    return build_problems(ProblemsConfig(mixture=entries, **keys), seed)


def first(source: ProblemSource, n: int) -> list[Problem]:
    return [source[i] for i in range(min(n, len(source)))]


@pytest.fixture
def entries(tmp_path: Path) -> list[dict[str, Any]]:
    """A task, a file, a named benchmark and a folder with a held-out split."""
    write(tmp_path / "folder" / "train.jsonl", sums(1000, 1300))
    write(tmp_path / "folder" / "test.jsonl", sums(1290, 1330))
    return [
        {"task": "chain_sum", "weight": 2.0, "settings": {"max_terms": 3}},
        {"path": str(write(tmp_path / "a.jsonl", sums(0, 200)))},
        {"name": "mmlu_stem", "path": str(write(tmp_path / "m.jsonl", choices(100))), "weight": 3},
        {"path": str(tmp_path / "folder"), "heldout_split": "test", "verifier": "text"},
    ]


def test_tasks_alone_are_what_they_always_were() -> None:
    """These hashes were taken before mixtures could hold anything but tasks."""
    mixture = [
        {"task": "chain_sum", "weight": 3.0, "settings": {"max_terms": 3}},
        {"task": "gcd"},
        {"task": "lcm", "weight": 0.5},
    ]
    made = build(mixture, 7, size=5000)
    assert made.train.name == "chain_sum+gcd+lcm"
    assert made.heldout.name == "chain_sum+gcd+lcm (held out)"
    assert (len(made.train), len(made.heldout)) == (5000, 10_000)

    def digest(problems: list[Problem]) -> str:
        text = "|".join(p.id + p.question + p.answer + p.verifier for p in problems)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    assert digest(first(made.train, 400)) == "1113e86766ffd52d"
    assert digest(first(made.heldout, 150)) == "f0d5fd409b701a06"
    assert digest(ProblemStream(made.train, 3).take(50)) == "538a34862be507bd"


def test_sources_come_by_weight_and_say_their_names(entries: list[dict[str, Any]]) -> None:
    made = build(entries, size=2000)
    train = first(made.train, 2000)
    share = {k: n / 2000 for k, n in Counter(p.metadata["source"] for p in train).items()}
    assert abs(share["chain_sum"] - 2 / 7) < 0.06
    assert abs(share["mmlu_stem"] - 3 / 7) < 0.06
    assert abs(share[entries[1]["path"]] - 1 / 7) < 0.06
    verifiers = {problem.metadata["source"]: problem.verifier for problem in train}
    assert verifiers == {
        "chain_sum": "gym",
        "mmlu_stem": "choice",
        entries[1]["path"]: "exact",
        entries[3]["path"]: "text",
    }
    for problem in train[:100] + first(made.heldout, 30):
        text = f"<answer> {problem.answer} </answer>"
        assert verify(problem, text).verdict is Verdict.CORRECT


def test_no_question_is_on_both_sides(entries: list[dict[str, Any]]) -> None:
    made = build(entries, size=3000)
    train = {fingerprint(problem.question) for problem in first(made.train, 3000)}
    heldout = [fingerprint(problem.question) for problem in first(made.heldout, 120)]
    assert len(set(heldout)) == 120
    assert not train & set(heldout)
    assert len({problem.metadata["source"] for problem in first(made.heldout, 120)}) == 4
    assert made.num_overlapping >= 10


def test_one_sources_held_out_rows_leave_the_others_training_rows(tmp_path: Path) -> None:
    write(tmp_path / "folder" / "train.jsonl", sums(100, 150))
    write(tmp_path / "folder" / "test.jsonl", sums(0, 50))
    entries = [
        {"path": str(tmp_path / "folder"), "heldout_split": "test"},
        {"path": str(write(tmp_path / "a.jsonl", sums(0, 100)))},
    ]
    made = build(entries, size=1000)
    heldout = {problem.question for problem in first(made.heldout, 10_000)}
    assert heldout >= {row["question"] for row in sums(0, 50)}
    assert len(made.heldout) == len(heldout)
    assert not heldout & {problem.question for problem in first(made.train, 1000)}
    with pytest.raises(IndexError):
        made.heldout[len(heldout)]


def test_the_same_seed_gives_the_same_at_any_position(entries: list[dict[str, Any]]) -> None:
    one, two, other = build(entries, 5), build(entries, 5), build(entries, 6)
    positions = [0, 99_999, 17, 50_000, 3]
    assert [one.train[i] for i in positions] == [two.train[i] for i in reversed(positions)][::-1]
    assert first(one.train, 50) != first(other.train, 50)
    assert first(one.heldout, 50) == first(other.heldout, 50)


def test_ids_are_unique_and_rows_come_in_shuffled_epochs(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.jsonl", sums(0, 60)))
    made = build([{"path": path}], size=500)
    problems = first(made.train, 500)
    assert len({problem.id for problem in problems}) == 500
    size = len({problem.question for problem in problems})
    epochs = [[p.question for p in problems[i : i + size]] for i in (0, size)]
    assert len(set(epochs[0])) == len(set(epochs[1])) == size
    assert epochs[0] != epochs[1]
    assert problems[0].id.startswith(f"{path}/a.jsonl:")
    assert problems[size].id.endswith("#1")


def test_a_stream_over_a_mixture_resumes(entries: list[dict[str, Any]]) -> None:
    whole = ProblemStream(build(entries, size=50).train, 5)
    taken = [problem.id for problem in whole.take(130)]
    half = ProblemStream(build(entries, size=50).train, 5)
    half.take(77)
    resumed = ProblemStream(build(entries, size=50).train, 5)
    resumed.restore(json.loads(json.dumps(half.state())))
    assert [problem.id for problem in resumed.take(53)] == taken[77:]


def test_the_mixtures_verifier_is_for_those_that_name_none(entries: list[dict[str, Any]]) -> None:
    made = build([entries[1], entries[3]], verifier="text", size=100)
    assert {problem.verifier for problem in first(made.train, 100)} == {"text"}
    named = build([entries[1] | {"verifier": "exact"}, entries[3]], verifier="text", size=100)
    assert {problem.verifier for problem in first(named.train, 100)} == {"text", "exact"}


def test_a_verifier_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_for_mixture.py").write_text(
        "def verify(problem, text):\n    return float(f'<{problem.answer}>' in text)\n"
        "def reverse(problem, text):\n    return problem.answer[::-1] in text\n"
    )
    monkeypatch.chdir(tmp_path)
    path = str(
        write(tmp_path / "a.jsonl", [{"question": f"{i}?", "answer": "ab"} for i in range(9)])
    )
    with pytest.raises(PonderError, match="none of its 9 rows is usable"):
        build([{"path": path, "verifier": "own_for_mixture:verify"}])
    rows = [{"question": f"{i}?", "answer": "aba"} for i in range(9)]
    path = str(write(tmp_path / "b.jsonl", rows))
    made = build([{"path": path, "verifier": "own_for_mixture:reverse"}], size=10)
    assert verify(made.train[0], "aba").verdict is Verdict.CORRECT
    with pytest.raises(PonderError, match="has no nothing; it has verify, reverse"):
        build([{"path": path, "verifier": "own_for_mixture:nothing"}])


@pytest.mark.parametrize(
    ("entry", "field", "fix"),
    [
        ({"path": "/no/such.jsonl"}, "problems.mixture[0].path", "no such file"),
        ({"name": "gsm9k"}, "problems.mixture[0].name", "must be 'gsm8k'"),
        ({"task": "gcd", "name": "gsm8k"}, "problems.mixture[0]", "give only one"),
        ({"task": "gcd", "split": "x"}, "problems.mixture[0].split", "means nothing"),
        ({"name": "gsm8k", "settings": {"a": 1}}, "problems.mixture[0].settings", "means nothing"),
        ({"mixture": []}, "problems.mixture[0]", "an entry has only"),
        ({"path": "x", "verifier": "magic"}, "problems.mixture[0].verifier", "use one of"),
        ({"path": "x", "verifier": "m:"}, "problems.mixture[0].verifier", "module:function"),
        ({"path": "x", "weight": True}, "problems.mixture[0].weight", "above 0"),
        ({}, "problems.mixture[0].task", "name a task"),
    ],
)
def test_mistakes_name_the_entry(entry: dict[str, Any], field: str, fix: str) -> None:
    with pytest.raises(PonderError) as caught:
        build([entry])
    assert caught.value.field == field
    assert fix in caught.value.fix


def test_a_source_without_training_rows_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "folder" / "train.jsonl", sums(100, 150))
    write(tmp_path / "folder" / "test.jsonl", sums(0, 50))
    entries = [
        {"path": str(tmp_path / "folder"), "heldout_split": "test"},
        {"path": str(write(tmp_path / "a.jsonl", sums(0, 50)))},
    ]
    with pytest.raises(PonderError, match="no training problems are left of it"):
        build(entries)
