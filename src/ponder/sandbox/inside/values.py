"""Values as JSON text with tags for what JSON has not; see ``ponder.sandbox.jobs.CallJob``."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 100
_DECIMAL_BITS = 13_000  # about 4,000 digits: below the limit that int() and str() have

_dumps, _loads = json.dumps, json.loads


def encode(value: Any) -> str:
    """Tagged JSON of a plain value; TypeError for a type it has not, ValueError if too deep.

    Subclasses of plain types (Counter, named tuples, enumerations) count as what they hold,
    read with the base type's own methods: an overridden ``__eq__`` or ``__iter__`` has no say.
    """
    return _dumps(_tagged(value, 0))


def decode(text: str | bytes) -> Any:
    """The value of ``encode``'s text; ValueError for any other text, however hostile."""
    try:
        return _untagged(_loads(text))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except (TypeError, AttributeError, KeyError, ArithmeticError, UnicodeDecodeError) as error:
        raise ValueError(f"no tagged JSON: {error}") from error


def _tagged(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    for base, write in _SCALARS:
        if issubclass(kind, base):
            return write(value)
    for base, tag in _SEQUENCES:
        if issubclass(kind, base):
            items = [_tagged(item, depth + 1) for item in base.__iter__(value)]
            return {tag: items} if tag else items
    if issubclass(kind, dict):
        return _tagged_dict(value, depth)
    raise TypeError(f"a value of type {kind.__name__}, which has no JSON form")


def _tagged_dict(value: dict[Any, Any], depth: int) -> Any:
    pairs = list(dict.items(value))
    if all(type(key) is str and not key.startswith("$") for key, _ in pairs):
        return {key: _tagged(item, depth + 1) for key, item in pairs}
    return {"$dict": [[_tagged(k, depth + 1), _tagged(v, depth + 1)] for k, v in pairs]}


def _tagged_int(value: int) -> Any:
    plain = int.__add__(value, 0)
    return plain if plain.bit_length() <= _DECIMAL_BITS else {"$int": hex(plain)}


_SCALARS: tuple[tuple[type, Any], ...] = (
    (int, _tagged_int),
    (float, lambda value: float.__add__(value, 0.0)),
    (str, lambda value: str.__str__(value)[:]),
    (bytes, lambda value: {"$bytes": bytes.hex(value)}),
    (complex, lambda value: {"$complex": [value.real, value.imag]}),
)
_SEQUENCES: tuple[tuple[Any, str], ...] = (
    (list, ""),
    (tuple, "$tuple"),
    (set, "$set"),
    (frozenset, "$frozenset"),
)


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(tag, content)] = value.items()
        if tag.startswith("$"):
            return _TAGS[tag](content)
    return {key: _untagged(item) for key, item in value.items()}


def _untagged_dict(content: Any) -> dict[Any, Any]:
    pairs = [(_untagged(key), _untagged(item)) for key, item in content]
    _hashable([key for key, _ in pairs])
    return dict(pairs)


def _hashable(items: Any) -> Any:
    """The items, unless too many share a hash: building a set of those takes quadratic time."""
    items = list(items)
    if len(items) - len({hash(item) for item in items}) > _MAX_COLLISIONS:
        raise ValueError("items that share a hash")
    return items


_MAX_COLLISIONS = 64
_TAGS: dict[str, Any] = {
    "$tuple": lambda content: tuple(_untagged(content)),
    "$set": lambda content: set(_hashable(_untagged(content))),
    "$frozenset": lambda content: frozenset(_hashable(_untagged(content))),
    "$dict": _untagged_dict,
    "$int": lambda content: int(content, 16),
    "$bytes": bytes.fromhex,
    "$complex": lambda content: complex(*content),
}
