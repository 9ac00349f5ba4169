"""The reference solutions of MBPP and HumanEval pass their own tests, in the sandbox."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from ponder.sandbox.sandbox import Sandbox
from ponder.types import Judgement, Problem, Verdict
from ponder.verify.code.rows import CodeRow, code_row
from ponder.verify.code.verifier import verify_in

DATA = Path(__file__).resolve().parents[3] / "../shared/data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")


def mbpp() -> list[CodeRow]:
    with (DATA / "mbpp/mbpp.jsonl").open() as file:
        return [code_row(json.loads(line)) for line in file]


def human_eval() -> list[CodeRow]:
    with gzip.open(DATA / "humaneval/HumanEval.jsonl.gz") as packed:
        return [code_row(json.loads(line)) for line in packed]


def judged(row: CodeRow, completion: str, sandbox: Sandbox) -> Judgement:
    metadata = {**row.metadata, "time_seconds": 5}
    return verify_in(
        Problem(row.id, row.question, row.answer, "code", metadata), completion, sandbox
    )


def failures(rows: list[CodeRow], sandbox: Sandbox) -> list[tuple[str, str]]:
    found = []
    for row in rows:
        text = f"<think> reference </think> <answer> {row.answer} </answer>"
        judgement = judged(row, text, sandbox)
        if judgement.verdict is not Verdict.CORRECT or judgement.score != 1.0:
            found.append((row.id, judgement.reason))
    return found


def test_a_sample_of_the_references(sandbox: Sandbox) -> None:
    assert failures(mbpp()[::60] + human_eval()[::20], sandbox) == []


@pytest.mark.slow
def test_every_reference(sandbox: Sandbox) -> None:
    rows = mbpp() + human_eval()
    assert len(rows) == 974 + 164
    assert failures(rows, sandbox) == []


def test_the_reference_of_another_problem_fails(sandbox: Sandbox) -> None:
    rows = mbpp()[::80] + human_eval()[::40]
    for row, other in pairwise(rows):
        judgement = judged(row, f"```python\n{other.answer}\n```", sandbox)
        assert judgement.verdict is Verdict.INCORRECT, (row.id, other.id)


def test_a_body_alone_completes_human_eval(sandbox: Sandbox) -> None:
    for row in human_eval()[::40]:
        body = row.answer.removeprefix(row.metadata["prompt_code"])
        for text in (body, f"```python\n{body}\n```", f"<answer> {body} </answer>"):
            assert judged(row, text, sandbox).verdict is Verdict.CORRECT, (row.id, text)
