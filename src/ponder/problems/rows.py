"""Rows with a question and an answer become problems; bad ones are listed, not hidden."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint
from ponder.types import PREFERENCES, Problem
from ponder.verify.verifiers import reference_fault


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data set: where it stands ("train.jsonl:12") and what it holds."""

    place: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """What a row says. ``fault``: why it can be no problem, or ""."""

    question: str
    answer: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


Reader = Callable[[Row], Item]
"""Raises PonderError for a row without the fields that it looks for."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Reads rows by the names of their fields.

    ``answer_after`` is what precedes the answer in its field; ``metadata`` has the names of further
    fields by the key that the verifier knows them by. Rows need no answer where ``answer`` is None.
    """

    question: str
    answer: str | None
    answer_after: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, row: Row) -> Item:
        names = {"question_field": self.question}
        if self.answer is not None:
            names["answer_field"] = self.answer
        names |= {f"metadata_fields.{key}": name for key, name in self.metadata.items()}
        for key, name in names.items():
            if name not in row.fields:
                there = ", ".join(sorted(row.fields)) or "no fields at all"
                fix = f"{row.place} has no such field; it has {there}"
                raise PonderError(f"problems.{key}", name, fix)
        question = row.fields[self.question]
        answer = "" if self.answer is None else answer_text(row.fields[self.answer])
        if self.answer_after:
            answer = answer.rpartition(self.answer_after)[2] if self.answer_after in answer else ""
        metadata = {key: row.fields[name] for key, name in self.metadata.items()}
        return Item(question if isinstance(question, str) else "", answer.strip(), metadata)


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


UNVERIFIED = frozenset({"code"})
"""Verifiers whose references take too long to verify whenever they are read: `ponder audit` does.

A thousand programs would be a thousand runs in the sandbox before the first step."""


def make_problems(rows: Iterable[Row], read: Reader, verifier: str, name: str) -> Rows:
    """Problems whose reference answers verify, without repeated questions.

    The references of a verifier in UNVERIFIED are taken as they are.

    Raises:
        PonderError: a row lacks a field, there are no rows, or not one of them is usable.
    """
    made = Rows([], [])
    seen: set[str] = set()
    for row in rows:
        item = read(row)
        problem = _problem(row, item, verifier, name)
        if reason := item.fault or _fault(problem, seen):
            made.dropped.append(Dropped(row.place, item.answer, reason))
        else:
            seen.add(fingerprint(item.question))
            made.problems.append(problem)
    if not made.problems:
        _raise_unusable(made.dropped, verifier, name)
    return made


def every_problem(rows: Iterable[Row], read: Reader, verifier: str, name: str) -> Rows:
    """A problem for every row, repeated or not, its reference unverified: what an audit takes.

    Raises PonderError for a row that lacks a field, or if there is not a single row.
    """
    made = Rows([], [])
    for row in rows:
        item = read(row)
        if item.fault:
            made.dropped.append(Dropped(row.place, item.answer, item.fault))
        else:
            made.problems.append(_problem(row, item, verifier, name))
    if not made.problems:
        _raise_unusable(made.dropped, verifier, name)
    return made


def _problem(row: Row, item: Item, verifier: str, name: str) -> Problem:
    metadata = {**item.metadata, "source": name}
    return Problem(row.place, item.question, item.answer, verifier, metadata)


def _fault(problem: Problem, seen: set[str]) -> str:
    if not problem.question.strip():
        return "no question"
    if not _is_unicode(problem.question) or not _is_unicode(problem.answer):
        return "no valid Unicode (half of a pair of surrogates)"
    if fingerprint(problem.question) in seen:
        return "repeated question"
    if problem.verifier in PREFERENCES:
        return ""
    if not problem.answer:
        return "no reference answer"
    return "" if problem.verifier in UNVERIFIED else reference_fault(problem)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raise_unusable(dropped: list[Dropped], verifier: str, name: str) -> None:
    if not dropped:
        raise PonderError("problems", name, "there is not a single row in it")
    first = dropped[0]
    fix = (
        f"none of its {len(dropped)} rows is usable with the verifier {verifier!r}, e.g. "
        f"{first.place}: {first.reason} (answer {first.answer[:80]!r})"
    )
    raise PonderError("problems", name, fix)


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
