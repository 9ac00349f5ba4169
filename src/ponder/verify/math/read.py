r"""Reads an answer into a tree of values. Never raises, and never takes long.

Only the shape is read here (lists, sets, tuples, intervals, inequalities, matrices, equations);
single quantities are read in ``scalars``.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial

from ponder.verify.math.algebra import NoValueError
from ponder.verify.math.names import is_name, is_variable, name_key
from ponder.verify.math.normal import MAX_CHARACTERS, is_balanced, normal_text, unwrapped
from ponder.verify.math.ranges import REALS, all_but, described, difference, inequality
from ponder.verify.math.scalars import plain_number, read_scalar
from ponder.verify.math.split import bracketed, split
from ponder.verify.math.values import (
    Equation,
    Infinity,
    Interval,
    Listing,
    Matrix,
    Named,
    Row,
    Scalar,
    Union,
    Unreadable,
    Value,
    Words,
)
from ponder.verify.numbers import parse_number

MAX_DEPTH = 6
MAX_ITEMS = 100

_CONNECTIVES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:text|textrm|mathrm|mbox)\s*\{[\s,]*(and|or)[\s,]*\}", r" \\\1 "),
        (r"(?<![A-Za-z\\])(and|or)(?![A-Za-z])", r" \\\1 "),
        (r"\\(?:lor|vee)(?![A-Za-z])|或者?", r" \\or "),
        (r"\\(?:land|wedge)(?![A-Za-z])|和", r" \\and "),
    )
]
_LIST = frozenset({",", ";", r"\or", r"\and"})
_COMMAS = frozenset({",", ";"})
_RELATIONS = frozenset({"=", "<", ">", r"\le", r"\ge", r"\ne", r"\approx", r"\equiv", r"\sim"})
_ANSWER_IS = re.compile(
    r"\\text\s*\{\s*[Aa]nswer\s*:\s*\}\s*(?=\S)|(?:最终|最后)?(?:答案?|解)(?:是|为|[:=])+\s*(?=\S)"
)
_OUTWARD = re.compile(r"([\[\]])\s*([^()\[\]{},;]+)[,;]([^()\[\]{},;]+)([\[\]])")
_MATRIX = re.compile(
    r"(?P<factor>[^\\&]*(?:\\frac[^\\&]*)?)"
    r"\\begin\s*\{(?P<name>[pbB]?matrix|smallmatrix|array)\}(?:\{[lcr| ]{1,20}\})?(?P<body>.*)"
    r"\\end\s*\{(?P=name)\}",
    re.DOTALL,
)
_ROW_END = frozenset({"\\\\"})
_CELL_END = frozenset({"&"})


@lru_cache(maxsize=8_192)
def read(text: str) -> Value:
    """The value of the whole text; ``Unreadable`` if it has none."""
    if len(text) > MAX_CHARACTERS:
        return Unreadable("too long")
    plain = normal_text(text)
    if not plain or not is_balanced(plain):
        return Unreadable("unmatched braces" if plain else "nothing in it")
    for pattern, replacement in _CONNECTIVES:
        plain = pattern.sub(replacement, plain)
    return _read(_ANSWER_IS.sub("", plain, count=1) if _ANSWER_IS.match(plain) else plain, 0)


def _read(text: str, depth: int) -> Value:
    text = unwrapped(text)
    if not text or depth > MAX_DEPTH:
        return Unreadable("nested too deeply" if text else "nothing in it")
    for reader in (_number, _list, _member, _union, _difference, _relation, _brackets, _matrix):
        value = reader(text, depth)
        if value is not None:
            return value
    return _single(text)


def _single(text: str) -> Value:
    if text == r"\emptyset":
        return Listing((), is_set=True)
    try:
        value = read_scalar(text)
    except NoValueError as error:
        return Unreadable(str(error))
    if isinstance(value, Words) and value.key in ("all real numbers", "all reals", "全体实数"):
        return REALS
    return REALS if text == r"\reals" else value


def _number(text: str, depth: int) -> Value | None:
    """A plain number first of all: its commas and spaces may be separators of thousands."""
    found = plain_number(text)
    if found is None:
        return None
    variable, scalar = found
    return Named(variable, scalar) if variable else scalar


def _list(text: str, depth: int) -> Value | None:
    parts, separators = split(text, _LIST)
    if not separators:
        return None
    parts = _without_gaps(parts, separators)
    if not all(parts) or len(parts) > MAX_ITEMS:
        return Unreadable("too many items" if all(parts) else "an empty item")
    items = tuple(_read(part, depth + 1) for part in parts)
    if any(isinstance(item, Unreadable) for item in items):
        return Unreadable("an item that can't be read")
    if all(isinstance(item, Interval) for item in items):
        both = r"\and" in separators
        return Unreadable("two conditions at once") if both else Union(items)
    return _one_name(_flat(items))


def _without_gaps(parts: list[str], separators: list[str]) -> list[str]:
    """Without what is empty between a comma and a connective: ``1, 2, and 3``."""
    inner = zip(parts[1:-1], separators, separators[1:], strict=False)
    kept = [part for part, one, other in inner if part or one not in _COMMAS or other in _COMMAS]
    return [parts[0], *kept, parts[-1]]


def _flat(items: tuple[Value, ...]) -> tuple[Value, ...]:
    """With the two values of a plus-minus sign as items of their own."""
    flat: list[Value] = []
    for item in items:
        is_pair = isinstance(item, Listing) and not item.is_set
        flat.extend(item.items if is_pair and isinstance(item, Listing) else (item,))
    return tuple(flat)


def _one_name(items: tuple[Value, ...]) -> Value:
    """``x=1, x=2`` and ``x=1, 2`` are values of x."""
    first = items[0]
    if not isinstance(first, Named):
        return Listing(items)
    others = [item for item in items[1:] if isinstance(item, Named)]
    if others and (len(others) < len(items) - 1 or {o.name for o in others} != {first.name}):
        return Listing(items)
    values = tuple(item.value if isinstance(item, Named) else item for item in items)
    return Named(first.name, Listing(_flat(values)))


def _difference(text: str, depth: int) -> Value | None:
    return difference(text, partial(_read, depth=depth + 1))


def _union(text: str, depth: int) -> Value | None:
    parts, found = split(text, frozenset({r"\cup"}))
    if not found:
        return None
    values = tuple(_read(part, depth + 1) for part in parts)
    if not all(isinstance(value, Row | Interval | Listing) for value in values):
        return Unreadable("a union of what are no sets")
    return Union(values)


def _member(text: str, depth: int) -> Value | None:
    parts, found = split(text, frozenset({r"\in"}))
    if not found:
        return None
    if len(parts) != 2 or not is_variable(parts[0]):
        return Unreadable("in what?")
    return _named(parts[0], parts[1], depth)


def _relation(text: str, depth: int) -> Value | None:
    parts, relations = split(text, _RELATIONS)
    if not relations:
        return None
    if relations == [r"\approx"] and not parts[0]:
        return _read(parts[1], depth + 1)
    if not all(parts):
        return Unreadable("a relation with an empty side")
    if relations == ["="]:
        return _equation(parts[0], parts[1], depth)
    within = partial(_read, depth=depth + 1)
    if relations == [r"\ne"] and is_variable(parts[0]):
        return all_but((within(parts[1]),), name_key(parts[0]))
    return inequality(parts, relations, within)


def _equation(left: str, right: str, depth: int) -> Value:
    are_both = is_variable(left) and is_variable(right)
    if is_name(left) and not are_both:
        return _named(left, right, depth)
    if is_variable(right) and not are_both:
        return _named(right, left, depth)
    first, second = _read(left, depth + 1), _read(right, depth + 1)
    if isinstance(first, Scalar) and isinstance(second, Scalar):
        return Equation(first, second)
    return Unreadable("an equation of what are no quantities")


def _named(name: str, text: str, depth: int) -> Value:
    value = _read(text, depth + 1)
    return value if isinstance(value, Unreadable) else Named(name_key(name), value)


def _brackets(text: str, depth: int) -> Value | None:
    if (outward := _OUTWARD.fullmatch(text)) and (outward[1], outward[4]) != ("[", "]"):
        low, high = _read(outward[2], depth + 1), _read(outward[3], depth + 1)
        return Interval(low, high, outward[1] == "[", outward[4] == "]")
    found = bracketed(text)
    if found is None:
        return None
    left, inside, right = found
    if not inside:
        return Unreadable("empty brackets")
    parts, separators = split(inside, _COMMAS)
    if left == r"\{":
        return _set(inside, depth)
    if not separators:
        return _in_brackets(left, _read(inside, depth + 1))
    if len(parts) > MAX_ITEMS or not all(parts):
        return Unreadable("brackets with an empty item or too many")
    items = tuple(_read(part, depth + 1) for part in parts)
    if any(isinstance(item, Unreadable) for item in items):
        return Unreadable("an item that can't be read")
    return Row(left, items, right)


def _in_brackets(left: str, value: Value) -> Value:
    """``(5)`` is 5, ``[5]`` is not; a matrix may stand in any brackets."""
    if isinstance(value, Matrix) or left == "(":
        return value
    return Unreadable("one item in brackets")


def _set(inside: str, depth: int) -> Value:
    within = partial(_read, depth=depth + 1)
    if (condition := described(inside, within)) is not None:
        return condition
    value = within(inside)
    if isinstance(value, Named):
        value = value.value
    if isinstance(value, Unreadable | Union | Interval):
        return Unreadable("a set that is described")
    if isinstance(value, Listing) and not value.is_set:
        return Listing(value.items, is_set=True)
    return Listing((value,), is_set=True)


def _matrix(text: str, depth: int) -> Value | None:
    match = _MATRIX.fullmatch(text)
    if match is None:
        return None
    factor = match["factor"].strip()
    lines, _ = split(match["body"], _ROW_END)
    rows = [split(line, _CELL_END)[0] for line in lines if line.strip()]
    if not rows or len({len(row) for row in rows}) != 1 or sum(map(len, rows)) > MAX_ITEMS:
        return Unreadable("no matrix")
    if factor:
        rows = [[_product(factor.rstrip("*"), cell) for cell in row] for row in rows]
    values = tuple(tuple(_read(cell, depth + 1) for cell in row) for row in rows)
    if not all(isinstance(value, Scalar | Infinity) for row in values for value in row):
        return Unreadable("an entry that can't be read")
    return Matrix(values)


def _product(factor: str, cell: str) -> str:
    one, other = parse_number(factor), parse_number(cell)
    if one is None or other is None:
        return f"({factor})*({cell})"
    value = one.value * other.value
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
