"""Problem sets of several sources: tasks, files, hub data sets and named sources, by weight."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ponder.config.rl import ProblemsConfig
from ponder.config.translate import translate
from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint
from ponder.problems.kinds import OF_MIXTURES, source_kind
from ponder.problems.languages import AskedPart, asked, asking
from ponder.problems.mixed import (
    EndlessPart,
    InDomain,
    MixedHeldout,
    MixedTrain,
    Part,
    ShuffledEpochs,
    TablePart,
)
from ponder.problems.problem_set import ProblemSet
from ponder.problems.procedural import HELDOUT_SEED, HELDOUT_SIZE, audited, task_source
from ponder.problems.requests import RULES
from ponder.problems.sources import ListSource, TrainSide
from ponder.problems.tabular import tabular_problems
from ponder.types import BY_MODEL, PREFERENCES, Problem, ProblemSource

_KEYS = (
    "task", "weight", "domain", "settings", "language", "verifier", "name", "path", "hub",
    "hub_config", "split", "heldout_split", "question_field", "answer_field", "metadata_fields",
)  # fmt: skip

_DOMAIN = re.compile(r"[a-z][a-z0-9_]*")
"""It becomes part of the names of metrics."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A source of the mixture, where in the config it stands, and its rows if it has any."""

    config: ProblemsConfig
    weight: float
    domain: str
    field: str
    table: ProblemSet | None

    @property
    def is_general(self) -> bool:
        """Whether reward models judge its problems: then they are never held-out ones."""
        return self.config.verifier in PREFERENCES


def mixture_problems(config: ProblemsConfig, seed: int) -> ProblemSet:
    """Problems of ``config.mixture``: each position is given to a source by weight and (seed, it).

    A task is split by fingerprint, another source as it is on its own; then no held-out question of
    one source is a training question of another. A source of rows is walked through in shuffled
    epochs; its problems are called "name/id", and "name/id#epoch" after the first epoch.

    ``metadata["domain"]`` of a training problem is that of its entry: "reasoning" unless it says
    otherwise, "general" where reward models judge. General problems are not among the held-out
    ones, which say how often a model is right.

    Raises PonderError for what is wrong with an entry, naming it.
    """
    if not config.mixture:
        raise PonderError("problems.mixture", config.mixture, "name at least one task")
    entries = [_entry(entry, i, config) for i, entry in enumerate(config.mixture)]
    for entry in entries:
        if entry.table is None:
            task_source(entry.config, seed, entry.field)  # all mistakes before the slow audits
            asking(entry.config, seed, entry.field)
    audits = [
        audited(task_source(entry.config, seed, entry.field), entry.field)
        for entry in entries
        if entry.table is None
        and entry.config.task not in RULES
        and entry.config.verifier not in BY_MODEL
    ]
    tables = [entry.table for entry in entries if entry.table is not None]
    heldout_prints = _heldout_prints(tables)
    kept = [_without(_list(table.train), heldout_prints) for table in tables]
    lost = sum(len(table.train) for table in tables) - sum(map(len, kept))
    return ProblemSet(
        train=_train(entries, kept, frozenset(heldout_prints), seed, config.size),
        heldout=_heldout(entries, kept),
        dropped=[row for table in tables for row in table.dropped],
        num_overlapping=lost + sum(table.num_overlapping for table in tables),
        audits=audits,
    )


def _train(
    entries: list[_Entry], kept: list[list[Problem]], heldout: frozenset[str], seed: int, size: int
) -> MixedTrain:
    rows = iter(kept)
    parts: list[ProblemSource] = []
    part: ProblemSource
    for number, entry in enumerate(entries):
        if entry.table is None:
            train = TrainSide(task_source(entry.config, seed, entry.field), size, heldout)
            part = asked(train, asking(entry.config, seed, entry.field))
        else:
            key = f"{seed}/{number}"
            part = ShuffledEpochs(entry.table.train.name, next(rows), key, size)
        parts.append(InDomain(part, entry.domain))
    general = [entry.is_general for entry in entries]
    return MixedTrain(parts, [entry.weight for entry in entries], seed, size, general)


def _heldout(entries: list[_Entry], kept: list[list[Problem]]) -> MixedHeldout:
    train = frozenset(fingerprint(problem.question) for rows in kept for problem in rows)
    parts: list[Part] = []
    entries = [entry for entry in entries if not entry.is_general]
    for entry in entries:
        if entry.table is None:
            parts.append(_endless_part(entry, train))
        else:
            parts.append(TablePart(entry.table.train.name, _list(entry.table.heldout)))
    is_endless = any(entry.table is None for entry in entries)
    tables = [entry.table for entry in entries if entry.table is not None]
    size = HELDOUT_SIZE if is_endless else len(_heldout_prints(tables))
    return MixedHeldout(parts, [entry.weight for entry in entries], HELDOUT_SEED, size)


def _endless_part(entry: _Entry, train: frozenset[str]) -> Part:
    part = EndlessPart(task_source(entry.config, HELDOUT_SEED, entry.field), train)
    how = asking(entry.config, HELDOUT_SEED, entry.field)
    return part if how is None else AskedPart(part, how)


def _heldout_prints(tables: list[ProblemSet]) -> set[str]:
    return {fingerprint(p.question) for table in tables for p in _list(table.heldout)}


def _list(source: ProblemSource) -> list[Problem]:
    assert isinstance(source, ListSource)
    return source.problems


def _without(problems: list[Problem], prints: set[str]) -> list[Problem]:
    return [problem for problem in problems if fingerprint(problem.question) not in prints]


def _entry(entry: Mapping[str, Any], number: int, config: ProblemsConfig) -> _Entry:
    field = f"problems.mixture[{number}]"
    if unknown := set(entry) - set(_KEYS):
        raise PonderError(field, sorted(unknown), f"an entry has only {', '.join(_KEYS)}")
    weight = entry.get("weight", 1.0)
    part = _part_config(entry, field, config)
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not 0 < weight < float("inf"):
        raise PonderError(f"{field}.weight", weight, "use a number above 0")
    domain = entry.get("domain", "general" if part.verifier in PREFERENCES else "reasoning")
    if not isinstance(domain, str) or not _DOMAIN.fullmatch(domain):
        raise PonderError(f"{field}.domain", domain, 'use a word such as "math" or "general"')
    with _at(field):
        table = None if source_kind(part) == "task" else tabular_problems(part)
    return _Entry(part, float(weight), domain, field, table)


def _part_config(entry: Mapping[str, Any], field: str, config: ProblemsConfig) -> ProblemsConfig:
    """The entry as a config of its own; the mixture's verifier is for those that name none."""
    task = entry.get("task")
    if not isinstance(task, str) and not {"name", "path", "hub"} & set(entry):
        fix = 'name a task, e.g. "chain_sum", or give a name, a path or a hub id'
        raise PonderError(f"{field}.task", task, fix)
    settings = entry.get("settings", {})
    if not isinstance(settings, Mapping):
        raise PonderError(f"{field}.settings", settings, "use a table, e.g. { min_terms = 3 }")
    keys = {key: value for key, value in entry.items() if key not in OF_MIXTURES}
    try:
        with _at(field):
            return ProblemsConfig.model_validate(
                {"verifier": config.verifier, "size": config.size} | keys
            )
    except ValidationError as error:
        wrong = translate(error, ProblemsConfig, lambda key: field)
        raise PonderError(f"{field}.{wrong.field}", wrong.value, wrong.fix) from error


@contextmanager
def _at(field: str) -> Iterator[None]:
    """A PonderError about [problems] becomes one about this entry of the mixture."""
    try:
        yield
    except PonderError as error:
        name = error.field
        if name.startswith("problems") and not name.startswith("problems.mixture"):
            name = field + name.removeprefix("problems")
        raise PonderError(name, error.value, error.fix) from error
