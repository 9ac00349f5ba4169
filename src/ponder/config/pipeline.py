"""Pipeline recipes: named stages, each of a kind, with inputs and settings of its own.

    kind = "pipeline"
    [common]                  # settings for every stage whose kind has such a key
    seed = 1
    [stages.zero]
    kind = "rl"
    recipe = "zero-tiny"      # the settings below are laid over this recipe
    steps = 20
    [stages.table]
    kind = "eval"
    inputs = {model = "zero"} # a stage, STAGE.OUTPUT, a file (a path with a "/"), or a list of them

Which kinds there are, and what their settings mean, ``ponder.pipeline`` knows; here is only how
files, what they extend and the command line become one table a stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from ponder.config.base import Config
from ponder.config.fields import closest
from ponder.config.layers import Layer
from ponder.config.overrides import read_toml_value
from ponder.config.recipes import COMMAND_LINE, find_pipeline, recipe_layers
from ponder.config.translate import translate
from ponder.errors import PonderError

OF_THE_STAGE = ("kind", "recipe", "inputs")
"""Keys of a stage's table that are no settings of its kind."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_TWICE = re.compile(r"\('stages', '([^']*)'")
_TOP = ("name", "out")


class PipelineConfig(Config):
    """A pipeline as its recipe says it, before the kinds of its stages have read their settings."""

    kind: Literal["pipeline"] = "pipeline"
    """What this recipe does."""
    name: str = "pipeline"
    """Name of the pipeline; its folder is runs/NAME-TIME unless ``out`` says otherwise."""
    out: Path | None = None
    """The pipeline's folder."""
    common: dict[str, Any] = Field(default_factory=dict)
    """Settings for every stage whose kind has such a key; a stage's own settings go before."""
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The stages by name."""


@dataclass(frozen=True, slots=True)
class StageTable:
    """One stage: ``layers`` are its settings, lowest first, and ``overrides`` key=value on top."""

    name: str
    kind: str
    recipe: str | None
    inputs: Mapping[str, tuple[str, ...]]
    layers: tuple[Layer, ...]
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineRecipe:
    """A pipeline read from its files; ``beside`` is the folder that relative recipes are in."""

    about: str
    config: PipelineConfig
    lineage: tuple[str, ...]
    stages: Mapping[str, StageTable]
    common: tuple[Layer, ...] = ()
    beside: Path = field(default_factory=Path)


def load_pipeline(name_or_path: str | Path, overrides: Sequence[str] = ()) -> PipelineRecipe:
    """Load a packaged pipeline recipe by name, or one from a .toml file, with settings on top.

    ``overrides``: ``STAGE.key.sub=value`` (or ``stages.STAGE...``), ``common.key=value``, ``out``.

    Raises:
        PonderError: no such recipe, no pipeline, broken TOML, a setting of no stage.
    """
    path = find_pipeline(name_or_path)
    layers, about = _layers(path)
    kind = next((layer.table["kind"] for layer in reversed(layers) if "kind" in layer.table), "rl")
    if kind != "pipeline":
        fix = 'not a pipeline (kind = "pipeline"); `ponder train` runs recipes of one stage'
        raise PonderError("kind", kind, fix)
    names = list(dict.fromkeys(name for layer in layers for name in _stages_of(layer)))
    _check_names(names)
    top, common, by_stage = _sorted_overrides(overrides, names)
    layers.append(Layer(COMMAND_LINE, top))
    table: dict[str, Any] = {}
    for layer in layers:
        table |= {key: value for key, value in layer.table.items() if key not in ("stages",)}
    table["common"] = {}
    try:
        config = PipelineConfig.model_validate(table)
    except ValidationError as error:
        raise translate(error, PipelineConfig, lambda key: f"recipe {path.stem}") from error
    tables = {name: _stage_table(name, layers, by_stage.get(name, ())) for name in names}
    commons = [Layer(layer.origin, _table_of(layer, "common")) for layer in layers]
    commons.append(Layer(COMMAND_LINE, common))
    return PipelineRecipe(
        about=about,
        config=config,
        lineage=tuple(layer.origin for layer in layers[:-1]),
        stages=tables,
        common=tuple(layer for layer in commons if layer.table),
        beside=path.parent,
    )


def _layers(path: Path) -> tuple[list[Layer], str]:
    """The recipe's chain; TOML's complaint about a table given twice becomes one about a stage."""
    try:
        return recipe_layers(path)
    except PonderError as error:
        if (twice := _TWICE.search(error.fix)) is None:
            raise
        fix = f"two stages of {path.name} have this name; rename one ({error.fix})"
        raise PonderError(f"stages.{twice[1]}", twice[1], fix) from error


def _table_of(layer: Layer, key: str) -> dict[str, Any]:
    value = layer.table.get(key, {})
    if not isinstance(value, dict):
        raise PonderError(key, value, f"must be a table, [{key}] (from {layer.origin})")
    return value


def _stages_of(layer: Layer) -> dict[str, dict[str, Any]]:
    stages = _table_of(layer, "stages")
    for name, value in stages.items():
        if not isinstance(value, dict):
            raise PonderError(f"stages.{name}", value, f"must be a table, [stages.{name}]")
    return stages


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise PonderError("stages", None, 'a pipeline has stages: [stages.zero] kind = "rl" ...')
    seen: dict[str, str] = {}
    for name in names:
        if not _NAME.fullmatch(name):
            fix = "a stage's name is a folder's: letters, digits, - and _"
            raise PonderError(f"stages.{name}", name, fix)
        if (twin := seen.setdefault(name.lower(), name)) != name:
            fix = f"stages {twin} and {name} would share a folder; rename one"
            raise PonderError(f"stages.{name}", name, fix)


def _stage_table(name: str, layers: Sequence[Layer], overrides: Sequence[str]) -> StageTable:
    """A stage of all layers together: kind, recipe and each input from the highest that has it."""
    whole: dict[str, Any] = {"inputs": {}}
    settings: list[Layer] = []
    for layer in layers:
        table = _stages_of(layer).get(name, {})
        inputs = table.get("inputs", {})
        if not isinstance(inputs, dict):
            fix = 'must be a table: inputs = {model = "STAGE"}'
            raise PonderError(f"stages.{name}.inputs", inputs, fix)
        whole |= {key: table[key] for key in ("kind", "recipe") if key in table}
        whole["inputs"] |= inputs
        own = {key: value for key, value in table.items() if key not in OF_THE_STAGE}
        if own:
            settings.append(Layer(layer.origin, own))
    rest = []
    for argument in overrides:
        key, _, text = argument.partition("=")
        if key in ("kind", "recipe"):
            whole[key] = text
        elif key.startswith("inputs."):
            whole["inputs"][key.removeprefix("inputs.")] = read_toml_value(text)
        else:
            rest.append(argument)
    for key in ("kind", "recipe"):
        if not isinstance(whole.get(key, ""), str):
            raise PonderError(f"stages.{name}.{key}", whole[key], "must be text")
    if not whole.get("kind"):
        raise PonderError(f"stages.{name}.kind", None, 'say what the stage does: kind = "rl"')
    inputs = {key: tuple(_texts(name, key, value)) for key, value in whole["inputs"].items()}
    return StageTable(
        name, whole["kind"], whole.get("recipe"), inputs, tuple(settings), tuple(rest)
    )


def _texts(name: str, key: str, value: object) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str) or not item:
            fix = "name a stage, STAGE.OUTPUT or a file, or a list of them"
            raise PonderError(f"stages.{name}.inputs.{key}", value, fix)
        yield item


def _sorted_overrides(
    overrides: Sequence[str], names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]:
    """The command line's settings: of the pipeline, of all stages, of each stage."""
    top: dict[str, Any] = {}
    common: dict[str, Any] = {}
    by_stage: dict[str, list[str]] = {}
    for argument in overrides:
        key, equals, text = argument.partition("=")
        if not equals:
            fix = "write settings as STAGE.key=value, e.g. zero.batch.group_size=16"
            raise PonderError("argument", argument, fix)
        head, dot, rest = key.strip().removeprefix("stages.").partition(".")
        if key.strip() in _TOP:
            top[key.strip()] = text.strip()
        elif head == "common" and dot:
            common[rest] = read_toml_value(text.strip())
        elif head in names and dot:
            by_stage.setdefault(head, []).append(f"{rest}={text.strip()}")
        else:
            near = closest(head, names)
            hint = f"did you mean {near}.{rest}?" if near else f"stages: {', '.join(names)}"
            fix = f"write STAGE.key=value or common.key=value; {hint}"
            raise PonderError(key, text, fix)
    return top, common, by_stage
