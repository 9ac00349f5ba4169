"""Rows of MBPP and HumanEval, made into what a code problem needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponder.errors import PonderError
from ponder.verify.code.expressions import called_name


@dataclass(frozen=True, slots=True)
class CodeRow:
    """The parts of a problem: its id, question, reference solution (a whole program), metadata."""

    id: str
    question: str
    answer: str
    metadata: dict[str, Any]


def code_row(row: Mapping[str, Any]) -> CodeRow:
    """A row of MBPP (full, sanitized, or with ``prompt`` and ``test``) or of HumanEval.

    MBPP's question shows the first of its tests, which names the function; the rest stay hidden.
    Raises PonderError for a row of another shape.
    """
    if "canonical_solution" in row:
        return _human_eval(row)
    if "code" in row:
        return _mbpp(row)
    raise PonderError("row", sorted(row), "give rows of MBPP (code) or HumanEval")


def code_metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata alone, JSON-plain: ``tests``, ``entry_point``, HumanEval's ``prompt_code``."""
    return code_row(row).metadata


def _human_eval(row: Mapping[str, Any]) -> CodeRow:
    prompt, entry_point = _text(row, "prompt"), _text(row, "entry_point")
    question = f"Complete this Python function.\n\n```python\n{prompt.strip()}\n```"
    metadata = {
        "tests": [{"check": _text(row, "test"), "entry_point": entry_point}],
        "entry_point": entry_point,
        "prompt_code": prompt,
    }
    return CodeRow(
        str(row["task_id"]), question, prompt + _text(row, "canonical_solution"), metadata
    )


def _mbpp(row: Mapping[str, Any]) -> CodeRow:
    text = _text(row, "text" if "text" in row else "prompt").strip()
    asserts = row.get("test_list", row.get("test"))
    if not isinstance(asserts, list) or not asserts:
        raise PonderError("test_list", asserts, "give MBPP's list of asserts")
    setup = "\n".join([*row.get("test_imports", ()), row.get("test_setup_code", "")]).strip()
    tests = [{"assert": line, "setup": setup} if setup else {"assert": line} for line in asserts]
    question = (
        f"{text}\n\nThe program must pass this test, and others:\n\n```python\n{asserts[0]}\n```"
    )
    metadata = {"tests": tests, "entry_point": called_name(asserts[0])}
    return CodeRow(f"mbpp/{row['task_id']}", question, _text(row, "code"), metadata)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise PonderError(name, value, "this row wants text there")
    return value
