"""What a kind of stage is: its config, its inputs and outputs, and the functions behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ponder.config.base import Config
from ponder.pipeline.context import StageContext
from ponder.pipeline.paces import NoPaces, Paces

Type = Literal["model", "rows", "reward_model", "table"]
CHECKPOINTS = "checkpoints"
"""As an ``Output.path``: the newest complete checkpoint in it."""


@dataclass(frozen=True, slots=True)
class Input:
    """What an input must be.

    Args:
        many: the recipe may give a list.
        describe: the stage in a few words where it is given this, instead of its kind's.
    """

    type: Type
    optional: bool = False
    many: bool = False
    describe: Callable[[Any], str] | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Where a stage leaves what it makes, relative to its folder; see ``CHECKPOINTS``."""

    type: Type
    path: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stage is expected to take; None where nobody can say.

    Args:
        seconds: wall time on this machine.
        most_seconds: that, if every completion reaches its limit; None where it is the same.
        bytes: of its outputs on the disk.
        rows: problems, samples or training rows that it goes through.
        memory: peak in bytes, of the device it runs on.
        model: where a model of the shape of its output can be read (for later stages).
        row_tokens: of a row of its output, prompt and all.
    """

    seconds: float | None = None
    most_seconds: float | None = None
    bytes: float | None = None
    rows: int | None = None
    memory: float | None = None
    model: str | None = None
    row_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One input of a stage before it runs: a file or what a stage made (``path``), or what a stage
    that is not done yet is expected to make (``estimate``)."""

    path: Path | None
    estimate: Estimate = Estimate()


Sources = Mapping[str, Sequence[Source]]


class Estimator(Protocol):
    """What a stage will take; it runs nothing of it. ``paces``: how fast models run on a CPU."""

    def __call__(self, config: Any, sources: Sources, paces: Paces = ..., /) -> Estimate: ...


NO_PACES = NoPaces()


def no_files(config: Any) -> Mapping[str, Path]:
    """Of a kind that reads no files but those that its config names as paths."""
    return {}


@dataclass(frozen=True, slots=True)
class StageKind:
    """A kind of stage.

    Args:
        config_class: its settings.
        inputs: by the names that ``inputs = {...}`` of a recipe gives them.
        outputs: by name; a stage that names only the stage takes the first of the right type.
        run: does the work in ``context.folder``. Started again after kill -9 at any moment, also
            after its last write, it must end with the same outputs.
        estimate: what it will take; must not run anything.
        describe: the stage in a few words, from its config.
        code: packages and modules whose source its outputs follow from.
        files: files that it reads beside those in fields of type Path, by config key.
        unhashed: keys of the config, dotted ones too, that do not change its outputs.
    """

    config_class: type[Config]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]
    run: Callable[[StageContext], None]
    estimate: Estimator
    describe: Callable[[Any], str]
    code: Sequence[str]
    files: Callable[[Any], Mapping[str, Path]] = no_files
    unhashed: Sequence[str] = field(default=("name", "out", "log", "checkpoint"))
