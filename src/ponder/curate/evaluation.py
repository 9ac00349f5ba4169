"""The texts of evaluation sets: questions, reference solutions and answers, each with its item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ponder.config.curate import EvaluationSetConfig
from ponder.errors import PonderError
from ponder.problems.files import read_path
from ponder.problems.hub import is_saved_dataset, read_hub, read_saved
from ponder.problems.named import NAMED
from ponder.problems.rows import Row
from ponder.types import Problem

TEXT_FIELDS = (
    "question", "problem", "prompt", "Body", "Question", "quiz", "text", "query", "instruction",
    "solution", "answer", "solutions", "golden", "rationale", "canonical_solution", "code",
    "completion", "explanation",
)  # fmt: skip
"""Fields that hold questions and solutions in the sets that people measure on."""


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """One text of an item of an evaluation set; an item may have several."""

    set: str
    item: str
    text: str


def evaluation_texts(config: EvaluationSetConfig) -> Iterator[EvaluationText]:
    """Every text of a set: the question as a named source asks it, and the text fields of its rows.

    Raises:
        PonderError: no such set, file, split or field.
    """
    source = NAMED.get(config.name)
    for row in _rows(config):
        if source is not None and not (item := source.read(row)).fault:
            yield EvaluationText(config.name, row.place, item.question)
        texts = list(_field_texts(row, config))
        if not texts and source is None:
            there = ", ".join(sorted(row.fields)) or "no fields at all"
            fix = f"{row.place} has no text in them; it has {there}: name some as text_fields"
            names = list(config.text_fields or TEXT_FIELDS)
            raise PonderError("decontaminate.sets.text_fields", names, fix)
        yield from (EvaluationText(config.name, row.place, text) for text in texts)


def problem_texts(name: str, problems: Iterable[Problem]) -> Iterator[EvaluationText]:
    """The questions and answers of problems, e.g. of the held-out ones of a generator."""
    for problem in problems:
        yield EvaluationText(name, problem.id, problem.question)
        yield EvaluationText(name, problem.id, problem.answer)


def _rows(config: EvaluationSetConfig) -> Iterable[Row]:
    field = "decontaminate.sets.split"
    source = NAMED.get(config.name)
    if config.path is not None:
        is_split = source is not None and not source.is_benchmark and config.path.is_dir()
        split = config.split or ("test" if is_split else None)
        if is_saved_dataset(config.path):
            return read_saved(config.path, split, field)
        return read_path(config.path, split, field)
    if source is None:
        fix = f"no named source; use one of {', '.join(NAMED)}, or give a path"
        raise PonderError("decontaminate.sets.name", config.name, fix)
    hub_config, split = source.on_the_hub(config.split or "test")
    return read_hub(source.hub, hub_config, split, field)


def _field_texts(row: Row, config: EvaluationSetConfig) -> Iterator[str]:
    for name in config.text_fields or TEXT_FIELDS:
        yield from _texts(row.fields.get(name))


def _texts(value: Any) -> Iterator[str]:
    """The texts in a field: one, or those of a list or an object."""
    if isinstance(value, str) and value.strip():
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
