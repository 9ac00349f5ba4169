"""Rows with a question and an answer become problems; bad ones are listed, not hidden."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint
from ponder.types import Problem
from ponder.verify.verifiers import reference_fault


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data set: where it stands ("train.jsonl:12") and what it holds."""

    place: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields hold the question and the answer, and what precedes the answer in its field."""

    question: str
    answer: str
    answer_after: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that became no problem, and why."""

    place: str
    answer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Problems of different questions, and the rows that were dropped."""

    problems: list[Problem]
    dropped: list[Dropped]


def make_problems(rows: Iterable[Row], fields: Fields, verifier: str, name: str) -> Rows:
    """Problems whose reference answers verify, without repeated questions.

    Raises:
        PonderError: a row lacks a field, there are no rows, or not one of them is usable.
    """
    made = Rows([], [])
    seen: set[str] = set()
    for row in rows:
        question, answer = _read(row, fields)
        problem = Problem(row.place, question, answer, verifier, {"source": name})
        if reason := _fault(problem, seen):
            made.dropped.append(Dropped(row.place, answer, reason))
        else:
            seen.add(fingerprint(question))
            made.problems.append(problem)
    if not made.problems:
        _raise_unusable(made.dropped, verifier, name)
    return made


def _fault(problem: Problem, seen: set[str]) -> str:
    if not problem.question.strip():
        return "no question"
    if fingerprint(problem.question) in seen:
        return "repeated question"
    if not problem.answer:
        return "no reference answer"
    return reference_fault(problem)


def _raise_unusable(dropped: list[Dropped], verifier: str, name: str) -> None:
    if not dropped:
        raise PonderError("problems", name, "there is not a single row in it")
    first = dropped[0]
    fix = (
        f"none of its {len(dropped)} rows is usable with the verifier {verifier!r}, e.g. "
        f"{first.place}: {first.reason} (answer {first.answer[:80]!r})"
    )
    raise PonderError("problems", name, fix)


def _read(row: Row, fields: Fields) -> tuple[str, str]:
    for key, field in ((fields.question, "question_field"), (fields.answer, "answer_field")):
        if key not in row.fields:
            there = ", ".join(sorted(row.fields)) or "no fields at all"
            fix = f"{row.place} has no such field; it has {there}"
            raise PonderError(f"problems.{field}", key, fix)
    question, answer = row.fields[fields.question], answer_text(row.fields[fields.answer])
    if fields.answer_after:
        answer = answer.rpartition(fields.answer_after)[2] if fields.answer_after in answer else ""
    return question if isinstance(question, str) else "", answer.strip()


def answer_text(value: object) -> str:
    """A reference answer as text: numbers in full ("27", not "27.0" or "2.7e1"); "" if unusable."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return ""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) else format(Decimal(str(value)), "f")
