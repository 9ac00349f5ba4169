"""``key.sub=value`` on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from ponder.config.base import Config
from ponder.config.fields import (
    closest_key,
    is_free_table,
    leaf_fields,
    section_keys,
    takes_list,
    takes_none,
    takes_text,
)
from ponder.errors import PonderError


def parse_overrides(cls: type[Config], arguments: Iterable[str]) -> dict[str, Any]:
    """The arguments as {dotted key: value}.

    A value is read as its key's type says: text for text (quotes may be left out), TOML for the
    rest (``problems.settings={min_terms=3}``), ``none`` for a key that may be absent.

    Raises:
        PonderError: an argument without "=", a key that does not exist, a section for a key, or
            the same key twice.
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        key = key.strip()
        if not equals or not key:
            raise PonderError(
                "argument", argument, "write settings as key=value, e.g. batch.group_size=16"
            )
        if any(f"{key}.".startswith(f"{old}.") or old.startswith(f"{key}.") for old in values):
            raise PonderError(key, text, "given twice on the command line; give it once")
        values[key] = _value(cls, key, text.strip())
    return values


def _value(cls: type[Config], key: str, text: str) -> Any:
    leaves = leaf_fields(cls)
    field = leaves.get(key)
    if field is None:
        parent = leaves.get(key.rpartition(".")[0])
        if parent is not None and is_free_table(parent):
            return read_toml_value(text)
        raise unknown_key(cls, key, text)
    if takes_none(field.annotation) and text.lower() in ("none", "null"):
        return None
    if takes_list(field.annotation) and text.startswith("["):
        return read_toml_value(text)
    if takes_text(field.annotation):
        return _unquoted(text)
    return read_toml_value(text)


def unknown_key(cls: type[Config], key: str, value: object) -> PonderError:
    """The error for a key that ``cls`` does not have; its fix names the closest one."""
    inside = section_keys(cls, key)
    if inside:
        return PonderError(key, value, f"is a section; set one of its keys: {', '.join(inside)}")
    near = closest_key(cls, key)
    hint = f"did you mean {near}?" if near else "see `ponder train RECIPE --explain` for every key"
    return PonderError(key, value, f"unknown key; {hint}")


def read_toml_value(text: str) -> Any:
    """``text`` as a TOML value; as itself where it is none (the config's types then judge it)."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return str(read_toml_value(text))
    return text
