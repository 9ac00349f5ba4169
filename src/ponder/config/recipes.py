"""Recipes: from a name or a path, through layers, to a config that knows where each value is from.

Layers, lowest first: the defaults of the class, what ``extends`` names (a preset or a recipe, which
may extend another), the recipe itself, the command line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import tomli_w
from pydantic import ValidationError

from ponder.config.distil import DistilConfig
from ponder.config.fields import closest
from ponder.config.layers import Layer, flatten, merge, unflatten
from ponder.config.overrides import parse_overrides
from ponder.config.pretrain import PretrainConfig
from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.config.translate import translate
from ponder.errors import PonderError

AnyConfig: TypeAlias = RLConfig | PretrainConfig | SFTConfig | RewardModelConfig | DistilConfig
AnyClass: TypeAlias = (
    type[RLConfig]
    | type[PretrainConfig]
    | type[SFTConfig]
    | type[RewardModelConfig]
    | type[DistilConfig]
)
KINDS: dict[str, AnyClass] = {
    "rl": RLConfig,
    "pretrain": PretrainConfig,
    "sft": SFTConfig,
    "reward_model": RewardModelConfig,
    "distil": DistilConfig,
}
COMMAND_LINE = "command line"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A resolved recipe.

    ``lineage`` lists the files it came from, lowest layer first, e.g. ("preset modern",
    "recipe zero-tiny"). ``origins`` maps each dotted key that some layer set to that layer's name.
    """

    about: str
    config: AnyConfig
    lineage: tuple[str, ...]
    origins: Mapping[str, str]

    def origin(self, key: str) -> str:
        """Who set ``key``: "default", "preset NAME", "recipe NAME" or "command line"."""
        return _origin(self.origins, key)


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Load a packaged recipe by name, or one from a .toml file, with ``key.sub=value`` overrides.

    Raises:
        PonderError: no such recipe, broken TOML, an unknown key, a value that does not fit.
    """
    layers, about = recipe_layers(find_recipe(name_or_path))
    kind = next((layer.table["kind"] for layer in reversed(layers) if "kind" in layer.table), "rl")
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if kind == "pipeline":
        raise PonderError("kind", kind, f"run it with `ponder pipeline run {name_or_path}`")
    if cls is None:
        raise PonderError("kind", kind, f"must be one of {', '.join(KINDS)}")
    flat = [flatten(layer, cls) for layer in layers]
    flat.append(Layer(COMMAND_LINE, parse_overrides(cls, overrides)))
    values, origins = merge(flat)
    return Recipe(
        about=about,
        config=_validated(cls, values, origins),
        lineage=tuple(layer.origin for layer in layers),
        origins=origins,
    )


def read_config(path: Path) -> AnyConfig:
    """Read a resolved config back from a run folder's ``config.toml``.

    Raises:
        PonderError: the file is missing, is not TOML or does not fit this version of Ponder.
    """
    table = read_toml(path)
    kind = table.get("kind", "rl")
    if kind not in KINDS:
        raise PonderError("kind", kind, f"must be one of {', '.join(KINDS)} (in {path})")
    layer = flatten(Layer(str(path), table), KINDS[kind])
    return _validated(KINDS[kind], *merge([layer]))


def to_toml(config: AnyConfig) -> str:
    """The config, every key of it, as TOML (keys without a value are left out)."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def recipe_names() -> list[str]:
    """The packaged recipes."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def preset_names() -> list[str]:
    """The packaged presets: what ``extends`` may name beside recipes."""
    return sorted(path.stem for path in (_folder() / "presets").glob("*.toml"))


def pipeline_names() -> list[str]:
    """The packaged pipelines: what `ponder pipeline run` takes."""
    return sorted(path.stem for path in (_folder() / "pipelines").glob("*.toml"))


def find_pipeline(name_or_path: str | Path) -> Path:
    """The file of a pipeline by its packaged name, or any .toml file."""
    if str(name_or_path) in pipeline_names():
        return _folder() / "pipelines" / f"{name_or_path}.toml"
    return find_recipe(name_or_path)


def find_recipe(name_or_path: str | Path, beside: Path | None = None) -> Path:
    """The file of a recipe; ``beside`` is the folder that a relative path is also tried from."""
    text = str(name_or_path)
    packaged = _folder() / f"{text}.toml"
    if text in recipe_names():
        return packaged
    for path in (Path(text), (beside or Path()) / text):
        if path.suffix == ".toml" and path.is_file():
            return path
    if text in pipeline_names():
        raise PonderError("recipe", text, f"is a pipeline: `ponder pipeline run {text}`")
    names = recipe_names()
    near = closest(text, names)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
    raise PonderError("recipe", text, f"no such recipe or .toml file; {hint}")


def recipe_layers(path: Path) -> tuple[list[Layer], str]:
    """The layers of a recipe's whole chain, lowest first, and what it says it is about."""
    table = read_toml(path)
    about = str(table.pop("about", ""))
    lower = _chain(path, table, seen=(path.resolve(),))
    return [*lower, Layer(f"recipe {path.stem}", {"name": path.stem} | table)], about


def _chain(path: Path, table: dict[str, Any], seen: tuple[Path, ...]) -> list[Layer]:
    parent = table.pop("extends", None)
    if parent is None:
        return []
    below, origin = find_parent(parent, path.parent)
    if below.resolve() in seen:
        raise PonderError("extends", parent, f"{path.name} extends itself; break the circle")
    parent_table = read_toml(below)
    parent_table.pop("about", None)
    lower = _chain(below, parent_table, (*seen, below.resolve()))
    return [*lower, Layer(origin, parent_table)]


def find_parent(parent: object, beside: Path, field: str = "extends") -> tuple[Path, str]:
    """The file of what a recipe builds on, and what it is called as the origin of a setting.

    A preset, a recipe, a pipeline, or a .toml file, from the folder ``beside`` too.

    Raises:
        PonderError: there is none; its field is ``field``.
    """
    for names, folder, word in (
        (preset_names(), "presets", "preset"),
        (pipeline_names(), "pipelines", "pipeline"),
    ):
        if parent in names:
            return _folder() / folder / f"{parent}.toml", f"{word} {parent}"
    try:
        found = find_recipe(str(parent), beside=beside)
    except PonderError as error:
        listed = ", ".join([*preset_names(), *recipe_names()])
        fix = f"no such preset, recipe or .toml file; there are {listed}"
        raise PonderError(field, parent, fix) from error
    return found, f"recipe {found.stem}"


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a table; PonderError where there is none or it is broken."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as error:
        raise PonderError("recipe", str(path), "no such file; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PonderError("recipe", str(path), f"not valid TOML: {error}") from error


def _validated(cls: AnyClass, values: Mapping[str, Any], origins: Mapping[str, str]) -> AnyConfig:
    try:
        return cls.model_validate(unflatten(values))
    except ValidationError as error:
        raise translate(error, cls, lambda key: _origin(origins, key)) from error


def _origin(origins: Mapping[str, str], key: str) -> str:
    if key in origins:
        return origins[key]
    inside = [origin for name, origin in origins.items() if name.startswith(key + ".")]
    above = [origin for name, origin in origins.items() if key.startswith(name + ".")]
    return (above or inside[-1:] or [DEFAULT])[-1]


def _folder() -> Path:
    return Path(str(files("ponder") / "recipes"))
