"""The keys of a config class as flat, dotted names: ``batch.group_size``."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic.fields import FieldInfo

from ponder.config.base import Config


def section_class(annotation: Any) -> type[Config] | None:
    """The class of a field that is a section (a nested config), else None."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Config) else None


def leaf_fields(cls: type[Config], prefix: str = "") -> dict[str, FieldInfo]:
    """Every knob of ``cls`` by its dotted key, in the order of declaration."""
    leaves: dict[str, FieldInfo] = {}
    for name, field in cls.model_fields.items():
        section = section_class(field.annotation)
        if section is None:
            leaves[prefix + name] = field
        else:
            leaves |= leaf_fields(section, f"{prefix}{name}.")
    return leaves


def section_keys(cls: type[Config], section: str) -> list[str]:
    """The dotted keys under ``section``; empty if it is no section."""
    return [key for key in leaf_fields(cls) if key.startswith(section + ".")]


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union (``str | None`` -> (str, NoneType)); otherwise the type itself."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return typing.get_args(annotation)
    return (annotation,)


def takes_text(annotation: Any) -> bool:
    """Whether a value of this type is written as plain text (``name=demo``, ``out=runs/a``)."""
    return any(
        member is str or member is Path or typing.get_origin(member) is Literal
        for member in members(annotation)
    )


def takes_list(annotation: Any) -> bool:
    """Whether a value of this type may be a list."""
    return any(typing.get_origin(member) is list for member in members(annotation))


def takes_none(annotation: Any) -> bool:
    """Whether the value may be absent."""
    return type(None) in members(annotation)


def is_free_table(field: FieldInfo) -> bool:
    """Whether the field is a table whose keys are the user's own (``problems.settings``)."""
    return typing.get_origin(field.annotation) is dict


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that ``word`` most likely meant, or None."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return found[0] if found else None


def closest_key(cls: type[Config], key: str) -> str | None:
    """The valid key that an unknown one most likely meant.

    The whole dotted key counts first ("batch.groupsize"), then its last part alone
    ("learning_rate" -> "optimizer.learning_rate").
    """
    leaves = leaf_fields(cls)
    last = key.rsplit(".", 1)[-1]
    same_name = [leaf for leaf in leaves if leaf.rsplit(".", 1)[-1] == last]
    if same_name:
        return same_name[0]
    by_name = {leaf.rsplit(".", 1)[-1]: leaf for leaf in leaves}
    near = closest(last, by_name)
    return closest(key, leaves) or (by_name[near] if near else None)
