"""Layers of settings: flat tables that are laid over each other, each value with its origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ponder.config.base import Config
from ponder.config.fields import leaf_fields

_SOURCES = ("task", "mixture", "path", "hub", "name")
"""Keys of [problems] of which a config may have one (``path`` goes with ``name``)."""

_OF_A_SOURCE = (
    "settings",
    "hub_config",
    "split",
    "heldout_split",
    "question_field",
    "answer_field",
    "verifier",
)
"""Keys of [problems] that describe the one source and mean nothing for another."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings and where they came from."""

    origin: str
    table: Mapping[str, Any]


def flatten(layer: Layer, cls: type[Config]) -> Layer:
    """Nested tables as dotted keys, to the leaves of ``cls`` and one level into free tables."""
    leaves = leaf_fields(cls)
    flat: dict[str, Any] = {}

    def walk(prefix: str, table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            name = prefix + key
            inside_leaf = prefix.removesuffix(".") in leaves
            if isinstance(value, Mapping) and value and not inside_leaf:
                walk(f"{name}.", value)
            else:
                flat[name] = value

    walk("", layer.table)
    return Layer(layer.origin, flat)


def merge(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """Lay flat layers over each other: (values, origins) by dotted key.

    A layer that names another source of problems starts the keys of the old one anew: the settings
    of one task mean nothing to the next.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for stale in _stale_keys(values, layer.table):
            del values[stale], origins[stale]
        values |= layer.table
        origins |= dict.fromkeys(layer.table, layer.origin)
    return values, origins


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested tables."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        table = nested
        for part in path:
            table = table.setdefault(part, {})
        table[last] = value
    return nested


def _stale_keys(values: Mapping[str, Any], layer: Mapping[str, Any]) -> list[str]:
    """The lower keys that ``layer`` takes the place of without naming them."""
    covered = [
        key
        for key in values
        for new in layer
        if key.startswith(new + ".") or new.startswith(key + ".")
    ]
    if not _names_another_source(values, layer):
        return covered
    keeps_name = "problems.path" in layer and values.get("problems.name") is not None
    heads = {f"problems.{key}" for key in (*_SOURCES, *_OF_A_SOURCE)}
    if keeps_name:
        heads.discard("problems.name")
    tied = [key for key in values if key in heads or key.startswith("problems.settings.")]
    return sorted({*covered, *tied})


def _names_another_source(values: Mapping[str, Any], layer: Mapping[str, Any]) -> bool:
    for source in _SOURCES:
        key = f"problems.{source}"
        if layer.get(key) is not None and layer[key] != values.get(key):
            return True
    return False
