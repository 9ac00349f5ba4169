"""reasoning-gym's tasks by name: which can be used, and their entries, made again anywhere.

An entry follows from (task, settings, seed, index) alone, so a problem carries these four and any
process can rebuild the entry that its scorer needs. What a task keeps in module-wide random state
is seeded from the index and put back afterwards.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import lru_cache
from typing import Any

import numpy as np

from ponder.seeds import derive_seed

_OTHER_PROCESS = "it makes other problems in every process (it walks over sets of strings)"
_RUNS_ANSWERS = "its scorer runs the model's answer as Python code"
REFUSED: Mapping[str, str] = {
    "codeio": "it runs programs of its data set in this process; some write files",
    "composite": "mixtures are made with problems.mixture",
    "isomorphic_strings": _OTHER_PROCESS,
    "knight_swap": _OTHER_PROCESS,
    "polynomial_multiplication": _OTHER_PROCESS,
    "ransom_note": _OTHER_PROCESS,
    "word_ladder": _OTHER_PROCESS,
    "time_intervals": "its problems depend on today's date",
    "intermediate_integration": _RUNS_ANSWERS,
    "simple_integration": _RUNS_ANSWERS,
}
"""Tasks that cannot be used, and why (reasoning-gym 0.1.25)."""

_BLOCK = 1_000_000_000
_BLOCKS = {"acre": 500, "gsm_symbolic": 100_000, "list_functions": 100_000}
"""Indices per dataset object: tasks that make everything at once get several small ones."""

_PRINTING = {"bf"}
"""Tasks that print while they work."""


class GymEntryError(Exception):
    """A task failed to make the entry of an index."""


def canonical_settings(settings: Mapping[str, Any]) -> str:
    """Settings as JSON text, equal for equal settings. TypeError if they are no JSON."""
    return json.dumps(settings, sort_keys=True)


def gym_dataset(task: str, settings: str, seed: int) -> Any:
    """A reasoning-gym dataset of practically endless size; ``settings`` is canonical JSON.

    Raises whatever the task's own checks of its settings raise.
    """
    return _dataset(task, settings, seed, 0)


@lru_cache(maxsize=1024)
def gym_entry(task: str, settings: str, seed: int, index: int) -> dict[str, Any]:
    """The entry (question, answer, metadata) of an index. Shared: callers must not change it.

    Raises GymEntryError where the task fails at this index.
    """
    block, offset = divmod(index, _BLOCKS.get(task, _BLOCK))
    dataset = _dataset(task, settings, seed, block)
    silence = redirect_stdout(io.StringIO()) if task in _PRINTING else nullcontext()
    with silence, _seeded(derive_seed(seed, task, index)):
        try:
            entry: dict[str, Any] = dataset[offset]
        except Exception as error:  # whatever a task raises, this index has no entry
            raise GymEntryError(f"{type(error).__name__}: {error}") from error
    return entry


@lru_cache(maxsize=64)
def _dataset(task: str, settings: str, seed: int, block: int) -> Any:
    import reasoning_gym  # seconds: only when a task is used

    return reasoning_gym.create_dataset(
        task,
        seed=derive_seed(seed, task, settings, block) % 2**31,
        size=_BLOCKS.get(task, _BLOCK),
        **json.loads(settings),
    )


def has_default_scorer(task: str) -> bool:
    """Whether a task is scored by reasoning-gym's comparison of two texts."""
    from reasoning_gym.dataset import ProceduralDataset
    from reasoning_gym.factory import DATASETS

    if task not in DATASETS:
        return False
    own_class, _ = DATASETS[task]
    return own_class.score_answer is ProceduralDataset.score_answer


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed Python's and numpy's module-wide generators, and put them back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
