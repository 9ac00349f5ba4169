"""Inequalities and sets of reals, read as intervals and unions of them.

``read`` is how a text within is read; the texts are in the spelling of ``normal_text``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from ponder.verify.math.names import is_name, is_variable, name_key
from ponder.verify.math.split import split
from ponder.verify.math.values import (
    Inequality,
    Infinity,
    Interval,
    Listing,
    Scalar,
    Union,
    Unreadable,
    Value,
)

Read = Callable[[str], Value]
REALS = Interval(Infinity(-1), Infinity(1), False, False)
_TURNED = {">": "<", r"\ge": r"\le"}
_SUCH_THAT = (frozenset({r"\mid"}), frozenset({":"}), frozenset({"|"}))


def inequality(parts: list[str], relations: list[str], read: Read) -> Value:
    """``low < x < high`` or half of it, either way round; otherwise ``left < right`` as it is."""
    if all(relation in _TURNED for relation in relations):
        parts, relations = parts[::-1], [_TURNED[relation] for relation in reversed(relations)]
    if not all(relation in _TURNED.values() for relation in relations) or len(parts) > 3:
        return Unreadable("a chain of relations")
    closed = [relation == r"\le" for relation in relations]
    if len(parts) == 3:
        return _between(parts, closed, read)
    return _one_sided(parts[0], parts[1], closed[0], read)


def _between(parts: list[str], closed: list[bool], read: Read) -> Value:
    low, high = read(parts[0]), read(parts[2])
    if not is_name(parts[1]) or not _are_ends(low, high):
        return Unreadable("an inequality that is no interval")
    return Interval(low, high, closed[0], closed[1], name_key(parts[1]))


def _one_sided(left: str, right: str, closed: bool, read: Read) -> Value:
    if is_name(left) and _are_ends(high := read(right)):
        return Interval(Infinity(-1), high, False, closed, name_key(left))
    if is_name(right) and _are_ends(low := read(left)):
        return Interval(low, Infinity(1), closed, False, name_key(right))
    if name := _absolute(left):
        return _within(name, right, closed, read)
    if name := _absolute(right):
        return _outside(name, left, closed, read)
    return _of_expressions(read(left), read(right), closed)


def _of_expressions(smaller: Value, larger: Value, closed: bool) -> Value:
    sides = [side for side in (smaller, larger) if isinstance(side, Scalar)]
    values = [side.value for side in sides if side.value and not (side.unit or side.is_percent)]
    letters = frozenset[str]().union(*(value.atoms for value in values)) - {"pi", "e"}
    if len(values) < 2 or not letters or values[0] == values[1]:
        return Unreadable("an inequality that is no interval")
    return Inequality(sides[0], sides[1], closed)


def _are_ends(*ends: Value) -> bool:
    return all(isinstance(end, Scalar | Infinity) for end in ends)


def _absolute(text: str) -> str:
    """The variable within bars, or ""."""
    is_absolute = text.startswith("|") and text.endswith("|") and is_variable(text[1:-1].strip())
    return name_key(text[1:-1]) if is_absolute else ""


def _within(name: str, bound: str, closed: bool, read: Read) -> Value:
    low, high = read(f"-({bound})"), read(bound)
    if not _is_positive(high) or not isinstance(low, Scalar):
        return Unreadable("an inequality that is no interval")
    return Interval(low, high, closed, closed, name)


def _outside(name: str, bound: str, closed: bool, read: Read) -> Value:
    low, high = read(f"-({bound})"), read(bound)
    if not _is_positive(high) or not isinstance(low, Scalar):
        return Unreadable("an inequality that is no interval")
    below = Interval(Infinity(-1), low, False, closed, name)
    return Union((below, Interval(high, Infinity(1), closed, False, name)))


def _is_positive(value: Value) -> bool:
    plain = value.value.rational() if isinstance(value, Scalar) and value.value else None
    return plain is not None and plain > 0


def all_but(points: Sequence[Value], name: str = "") -> Value:
    r"""The reals without some rational points: ``x \ne 3``, ``\mathbb{R} \setminus \{0\}``."""
    places = [
        (point.value.rational(), point)
        for point in points
        if isinstance(point, Scalar) and point.value and not point.unit
    ]
    found = sorted((place for place in places if place[0] is not None), key=lambda p: p[0] or 0)
    if len(found) != len(points) or not points:
        return Unreadable("the reals without what?")
    ends: list[Value] = [Infinity(-1), *(point for _, point in found), Infinity(1)]
    return Union(tuple(Interval(low, high, False, False, name) for low, high in pairwise(ends)))


def difference(text: str, read: Read) -> Value | None:
    r"""``\mathbb{R} \setminus \{...\}``."""
    parts, found = split(text, frozenset({r"\setminus", r"\backslash"}))
    if not found:
        return None
    removed = read(parts[1])
    if len(parts) != 2 or read(parts[0]) != REALS or not isinstance(removed, Listing):
        return Unreadable("a difference of sets")
    return all_but(removed.items)


def described(inside: str, read: Read) -> Value | None:
    r"""What holds of the members of ``{x : ...}``, or None if the set is not written that way."""
    for bar in _SUCH_THAT:
        parts, found = split(inside, bar)
        if len(found) == 1:
            name, member, where = parts[0].partition(r"\in")
            if is_variable(name.strip()) and (not member or read(where) == REALS):
                value = read(parts[1])
                return value if isinstance(value, Interval | Union) else None
    return None
