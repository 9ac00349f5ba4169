"""Labelled cases, ours and the shared ones.

The first 302 of ours were written before the grader was, the other 198 before it was tried on them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.types import Verdict
from ponder.verify.math.verify import grade_math

OWN = Path(__file__).parent / "cases.jsonl"
VISIBLE = Path(__file__).parents[4] / "shared" / "data" / "grading" / "visible.jsonl"


def failures(path: Path) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The false positives and the false negatives of a file."""
    wrong: tuple[list[dict[str, object]], list[dict[str, object]]] = ([], [])
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        is_correct = grade_math(case["gold"], case["output"]).verdict is Verdict.CORRECT
        if is_correct != case["expected"]:
            wrong[case["expected"]].append(case)
    return wrong


def test_our_own_cases() -> None:
    assert len(OWN.read_text(encoding="utf-8").splitlines()) >= 200
    assert failures(OWN) == ([], [])


@pytest.mark.skipif(not VISIBLE.exists(), reason="no shared data")
def test_the_visible_cases() -> None:
    assert failures(VISIBLE) == ([], [])
