"""Reference answers of real data sets verify against themselves, where the data is at hand."""

from __future__ import annotations

import json
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ponder.types import Verdict
from ponder.verify.math.verify import grade_math, reference_fault

DATA = Path(__file__).parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="no shared data")


def rows(path: str) -> list[dict[str, Any]]:
    text = (DATA / path).read_text(encoding="utf-8")
    if path.endswith(".json"):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def references(name: str) -> list[str]:
    if name == "gsm8k":
        both = rows("gsm8k/train.jsonl") + rows("gsm8k/test.jsonl")
        return [row["answer"].rpartition("####")[2].strip() for row in both]
    path, field = {
        "math500": ("math500/test.jsonl", "answer"),
        "math_train": ("math_train/train_math.json", "answer"),
        "aime25": ("aime/aime25.jsonl", "answer"),
        "amc23": ("amc/amc23.jsonl", "answer"),
        "cmath": ("other_math/cmath.jsonl", "answer"),
        "svamp": ("other_math/svamp.jsonl", "Answer"),
    }[name]
    return [str(row[field]) for row in rows(path) if row[field]]


@pytest.mark.parametrize(
    ("name", "count"),
    [("gsm8k", 8792), ("math500", 500), ("math_train", 7470), ("aime25", 30), ("amc23", 40),
     ("cmath", 600), ("svamp", 1000)],
)  # fmt: skip
def test_references_verify_against_themselves(name: str, count: int) -> None:
    golds = references(name)
    assert len(golds) == count
    wrong = [g for g in golds if grade_math(g, rf"\boxed{{{g}}}").verdict is not Verdict.CORRECT]
    assert wrong == []


def test_solutions_of_gsm8k_verify_under_their_convention() -> None:
    for row in rows("gsm8k/test.jsonl"):
        gold = row["answer"].rpartition("####")[2].strip()
        assert grade_math(gold, row["answer"], "hashes").verdict is Verdict.CORRECT


def test_another_reference_is_not_correct() -> None:
    """Each reference of MATH-500 against the next one that is spelt otherwise."""
    golds = references("math500")
    taken = [(a, b) for a, b in pairwise(golds) if a != b.removeprefix("x=")]
    correct = [(a, b) for a, b in taken if grade_math(a, rf"\boxed{{{b}}}").verdict == "correct"]
    assert correct == []


def test_time_on_gsm8k() -> None:
    golds = references("gsm8k")[:500]
    times = []
    for number, gold in enumerate(golds):
        text = rf"So it is {number} and thus \boxed{{{gold}.0}}"
        start = time.perf_counter()
        grade_math(gold, text)
        times.append(time.perf_counter() - start)
    assert statistics.median(times) < 0.001


@pytest.mark.slow
def test_faults_of_math_train() -> None:
    """Two are no answers that can be compared: an approximation, and a quadratic inequality."""
    faulty = [gold for gold in references("math_train") if reference_fault(gold)]
    assert len(faulty) <= 3
