"""reasoning-gym's procedural tasks as an endless problem source."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ponder.errors import PonderError
from ponder.types import Problem
from ponder.verify.gym_entries import (
    REFUSED,
    GymEntryError,
    canonical_settings,
    gym_dataset,
    gym_entry,
)

_OURS = {"seed": "seed", "size": "problems.size"}


class GymSource:
    """Problems of one task: index i follows from (task, settings, seed, i), on every machine.

    Raises PonderError for an unknown or unusable task, an unknown setting or a bad value of one;
    ``field`` is where in the config the task is named. An index may raise GymEntryError.
    """

    def __init__(
        self,
        task: str,
        settings: Mapping[str, Any],
        seed: int,
        size: int,
        verifier: str = "gym",
        field: str = "problems",
    ) -> None:
        check_task(task, settings, field)
        self.name = task
        self.settings = canonical_settings(settings)
        self.seed = seed
        self.size = size
        self.verifier = verifier
        text = f"{task}/{self.settings}/{seed}"
        self.key = f"{task}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Problem:
        entry = gym_entry(self.name, self.settings, self.seed, index)
        if entry["answer"] is None:
            raise GymEntryError(f"{self.name} gives no reference answers")
        return Problem(
            id=f"{self.key}-{index}",
            question=entry["question"],
            answer=str(entry["answer"]),
            verifier=self.verifier,
            metadata={
                "task": self.name,
                "settings": self.settings,
                "seed": self.seed,
                "index": index,
                "source": self.name,
            },
        )


def task_names() -> list[str]:
    """The tasks that can be used."""
    from reasoning_gym.factory import DATASETS

    return sorted(set(DATASETS) - set(REFUSED))


def check_task(task: str, settings: Mapping[str, Any], field: str) -> None:
    """PonderError unless the task exists, can be used, and takes these settings."""
    if task in REFUSED:
        fix = f"this task cannot be used: {REFUSED[task]}; choose another"
        raise PonderError(f"{field}.task", task, fix)
    names = task_names()
    if task not in names:
        close = get_close_matches(task, names, n=5, cutoff=0.4) or names
        raise PonderError(
            f"{field}.task", task, f"reasoning-gym has no such task; closest: {', '.join(close)}"
        )
    known = _settings_of(task)
    for name, value in settings.items():
        _check_setting(task, name, value, known, field)
    try:
        gym_dataset(task, canonical_settings(settings), 0)
    except Exception as error:
        defaults = ", ".join(f"{key} = {value!r}" for key, value in known.items())
        reason = f"{type(error).__name__}: {error}"
        fix = f"{task} refuses these settings ({reason}); its settings and defaults: {defaults}"
        raise PonderError(f"{field}.settings", dict(settings), fix) from error


def _settings_of(task: str) -> dict[str, Any]:
    """Names and defaults of a task's settings."""
    from reasoning_gym.factory import DATASETS

    _, config_class = DATASETS[task]
    config = config_class()
    names = [part.name for part in dataclasses.fields(config) if part.name not in _OURS]
    return {name: getattr(config, name) for name in names}


def _check_setting(
    task: str, name: str, value: object, known: Mapping[str, Any], field: str
) -> None:
    full = f"{field}.settings.{name}"
    if name in _OURS:
        raise PonderError(full, value, f"Ponder sets this itself; use {_OURS[name]}")
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise PonderError(full, value, f"{hint}{task} has the settings {', '.join(known)}")
    try:
        canonical_settings({name: value})
    except TypeError as error:
        raise PonderError(full, value, "use numbers, strings, true/false, lists, tables") from error
