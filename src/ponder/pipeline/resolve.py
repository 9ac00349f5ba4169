"""The settings of a stage: its kind's config from recipe, [common], its own table and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from ponder.config.base import Config
from ponder.config.fields import closest, is_free_table, leaf_fields
from ponder.config.layers import Layer, flatten, merge, unflatten
from ponder.config.overrides import parse_overrides
from ponder.config.pipeline import PipelineRecipe, StageTable
from ponder.config.recipes import COMMAND_LINE, find_parent, recipe_layers
from ponder.config.translate import translate
from ponder.errors import PonderError
from ponder.pipeline.kinds import StageKind


def in_stage(name: str, error: PonderError) -> PonderError:
    """The same complaint, with the stage in its field."""
    if error.field.startswith("stages."):
        return error
    return PonderError(f"stages.{name}.{error.field}", error.value, error.fix)


def resolve_config(pipeline: PipelineRecipe, table: StageTable, kind: StageKind) -> Config:
    """The config of one stage.

    Raises:
        PonderError: an unknown key or a value that does not fit; its field names the stage.
    """
    cls = kind.config_class
    try:
        layers = [*_recipe(table, cls, pipeline.beside), Layer("the stage", {"name": table.name})]
        layers = [
            layer for layer in layers if "name" in cls.model_fields or "name" not in layer.table
        ]
        layers = [flatten(layer, cls) for layer in layers]
        layers += [_known(flatten(layer, cls), cls) for layer in pipeline.common]
        layers += [flatten(layer, cls) for layer in table.layers]
        layers.append(Layer(COMMAND_LINE, parse_overrides(cls, table.overrides)))
        return _validated(cls, layers)
    except PonderError as error:
        raise in_stage(table.name, error) from error


def check_common(pipeline: PipelineRecipe, classes: Mapping[str, type[Config]]) -> None:
    """Every key of [common] must mean something to some stage. PonderError where one does not."""
    known = {key for cls in classes.values() for key in leaf_fields(cls)}
    for layer in pipeline.common:
        for key, value in flatten(layer, Config).table.items():
            if any(_has(cls, key) for cls in classes.values()):
                continue
            near = closest(key, known)
            hint = f"did you mean {near}?" if near else "put it into the stage that it is for"
            raise PonderError(f"common.{key}", value, f"no stage has this key; {hint}")


def _recipe(table: StageTable, cls: type[Config], beside: Path) -> list[Layer]:
    if table.recipe is None:
        return []
    path, _ = find_parent(table.recipe, beside, "recipe")
    layers, _ = recipe_layers(path)
    kind = next((layer.table["kind"] for layer in reversed(layers) if "kind" in layer.table), "rl")
    wanted = cls.model_fields["kind"].default if "kind" in cls.model_fields else None
    if kind != wanted:
        fix = f"a recipe of kind {kind!r}; this stage needs one of kind {wanted!r}"
        raise PonderError("recipe", table.recipe, fix)
    return layers


def _has(cls: type[Config], key: str) -> bool:
    """Whether ``key`` is a knob of ``cls``, or inside a table whose keys are the user's own."""
    leaves = leaf_fields(cls)
    while key not in leaves and "." in key:
        key = key.rpartition(".")[0]
        if key in leaves and not is_free_table(leaves[key]):
            return False
    return key in leaves


def _known(layer: Layer, cls: type[Config]) -> Layer:
    return Layer(layer.origin, {k: v for k, v in layer.table.items() if _has(cls, k)})


def _validated(cls: type[Config], layers: list[Layer]) -> Config:
    values, origins = merge(layers)
    try:
        return cls.model_validate(unflatten(values))
    except ValidationError as error:
        raise translate(error, cls, lambda key: origins.get(key, "the recipe")) from error
