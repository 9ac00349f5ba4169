"""Whether two values are the same: yes, no, or can't tell.

"Can't tell" is only ever about two single quantities; an oracle may then be asked about their
LaTeX. All shapes are compared here, so that no oracle takes a set for a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ponder.verify.math.algebra import (
    Ratio,
    TooHardError,
    Work,
    add,
    atom,
    divide,
    equal,
    number,
    proportion,
)
from ponder.verify.math.scalars import degrees_in_radians, is_unworked
from ponder.verify.math.values import (
    Equation,
    Inequality,
    Infinity,
    Interval,
    Listing,
    Matrix,
    Named,
    Proportion,
    Row,
    Scalar,
    Union,
    Unreadable,
    Value,
    Words,
)
from ponder.verify.numbers import parse_number

Oracle = Callable[[str, str], bool | None]
"""Asked about the LaTeX of two quantities, the reference first."""


def cannot_tell(gold: str, answer: str) -> bool | None:
    """The oracle of the exact path."""
    return None


def same(gold: Value, answer: Value, oracle: Oracle = cannot_tell) -> bool | None:
    """True, False, or None where neither we nor the oracle can tell."""
    if isinstance(gold, Unreadable) or isinstance(answer, Unreadable):
        return False
    if isinstance(gold, Named) or isinstance(answer, Named):
        return _same_named(gold, answer, oracle)
    gold, answer = _plain_set(gold), _plain_set(answer)
    if isinstance(gold, Row) or isinstance(answer, Row):
        gold, answer = _coordinates(gold), _coordinates(answer)
    if isinstance(gold, Scalar) and isinstance(answer, Scalar):
        return _same_scalar(gold, answer, oracle)
    if isinstance(gold, Interval | Union) or isinstance(answer, Interval | Union):
        return _same_intervals(gold, answer, oracle)
    if isinstance(gold, Words) or isinstance(answer, Words):
        return _words(gold) == _words(answer) != ""
    if type(gold) is not type(answer):
        return False
    return _same_kind(gold, answer, oracle)


def _same_kind(gold: Value, answer: Value, oracle: Oracle) -> bool | None:
    match gold, answer:
        case Infinity(), Infinity():
            return gold.sign == answer.sign
        case Proportion(), Proportion():
            return _same_proportion(gold, answer)
        case Listing(), Listing():
            return _same_listing(gold, answer, oracle)
        case Row(), Row():
            if (gold.left, gold.right) != (answer.left, answer.right):
                return False
            return _in_order(gold.items, answer.items, oracle)
        case Matrix(), Matrix():
            if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
                return False
            return _in_order(sum(gold.rows, ()), sum(answer.rows, ()), oracle)
        case Equation(), Equation():
            return _same_equation(gold, answer, oracle)
        case Inequality(), Inequality():
            return _same_inequality(gold, answer)
    return False


def _plain_set(value: Value) -> Value:
    """A set of one number is that number: ``{5}``."""
    if isinstance(value, Listing) and len(value.items) == 1:
        return value.items[0]
    return value


def _coordinates(listing: Value) -> Value:
    """``x=2, y=3`` as ``(2, 3)``: only letters in the order of the alphabet."""
    if not isinstance(listing, Listing):
        return listing
    names = [item.name for item in listing.items if isinstance(item, Named)]
    values = tuple(item.value for item in listing.items if isinstance(item, Named))
    is_plain = len(names) == len(listing.items) and all(len(name) == 1 for name in names)
    is_point = is_plain and not listing.is_set and names == sorted(set(names))
    return Row("(", values, ")") if is_point else listing


def _words(value: Value) -> str:
    if isinstance(value, Words):
        return value.key
    return value.text.casefold() if isinstance(value, Scalar) and value.text.isalpha() else ""


def _every(results: Iterable[bool | None]) -> bool | None:
    """All of them: one no is no, otherwise one doubt is doubt."""
    is_sure = True
    for result in results:
        if result is False:
            return False
        is_sure = is_sure and result is not None
    return True if is_sure else None


def _in_order(gold: Sequence[Value], answer: Sequence[Value], oracle: Oracle) -> bool | None:
    if len(gold) != len(answer):
        return False
    return _every(same(one, other, oracle) for one, other in zip(gold, answer, strict=True))


def _same_named(gold: Value, answer: Value, oracle: Oracle) -> bool | None:
    """A name on one side only is taken to be implied on the other."""
    if isinstance(gold, Named) and isinstance(answer, Named):
        if gold.name == answer.name:
            return same(gold.value, answer.value, oracle)
        return _same_sides(_sides(gold), _sides(answer))
    if isinstance(gold, Equation) or isinstance(answer, Equation):
        return _same_sides(_sides(gold), _sides(answer))
    return same(_unnamed(gold), _unnamed(answer), oracle)


def _unnamed(value: Value) -> Value:
    """The value of a name; an expression that still holds the name itself has none."""
    if not isinstance(value, Named):
        return value
    inner = value.value
    if isinstance(inner, Scalar) and inner.value is not None and value.name in inner.value.atoms:
        return Unreadable("the name stands on both sides")
    return inner


def _sides(value: Value) -> Ratio | None:
    """Left side minus right side."""
    if isinstance(value, Named) and isinstance(value.value, Scalar):
        if len(value.name) > 1 and not value.name.startswith("\\"):
            return None
        left: Ratio | None = atom(value.name.removeprefix("\\"))
        right = value.value.value
    elif isinstance(value, Equation):
        left, right = value.left.value, value.right.value
    else:
        return None
    if left is None or right is None:
        return None
    try:
        return add(left, right, Work(), sign=-1)
    except TooHardError:
        return None


def _same_sides(gold: Ratio | None, answer: Ratio | None) -> bool:
    if gold is None or answer is None:
        return False
    try:
        return proportion(gold, answer) is not None
    except TooHardError:
        return False


def _same_equation(gold: Equation, answer: Equation, oracle: Oracle) -> bool | None:
    """Proportional when all is put on one side, or the same two sides."""
    if _same_sides(_sides(gold), _sides(answer)):
        return True
    straight = _in_order((gold.left, gold.right), (answer.left, answer.right), oracle)
    if straight is not False:
        return straight
    return _in_order((gold.left, gold.right), (answer.right, answer.left), oracle)


def _same_inequality(gold: Inequality, answer: Inequality) -> bool:
    """Proportional, with the same sign, when all is put on one side."""
    one = _sides(Equation(gold.smaller, gold.larger))
    other = _sides(Equation(answer.smaller, answer.larger))
    if one is None or other is None or gold.is_closed != answer.is_closed:
        return False
    try:
        return (proportion(one, other) or 0) > 0
    except TooHardError:
        return False


def _same_scalar(gold: Scalar, answer: Scalar, oracle: Oracle) -> bool | None:
    if gold.text.isalpha() and gold.text.casefold() == answer.text.casefold():
        return True
    if gold.unit != answer.unit and gold.unit and answer.unit:
        return False
    if answer.base not in (10, gold.base):  # the problem's own number, perhaps, not converted
        return False
    if is_unworked(answer.text) and parse_number(gold.text) is not None:
        return False
    if gold.is_percent != answer.is_percent:
        return _same_percent(gold, answer)
    if (angles := _same_angle(gold, answer)) is not None:
        return angles
    if gold.value is None or answer.value is None:
        return oracle(gold.text, answer.text)
    return _equal(gold.value, answer.value)


def _equal(gold: Ratio, answer: Ratio) -> bool | None:
    try:
        return equal(gold, answer)
    except TooHardError:
        return None


def _same_percent(gold: Scalar, answer: Scalar) -> bool:
    """p% is p where the sign is implied, and p/100."""
    percent, plain = (gold, answer) if gold.is_percent else (answer, gold)
    if plain.unit or plain.value is None or percent.value is None:
        return False
    try:
        part = divide(percent.value, number(100), Work())
        return equal(percent.value, plain.value) or equal(part, plain.value)
    except TooHardError:
        return False


def _same_angle(gold: Scalar, answer: Scalar) -> bool | None:
    """Degrees on one side, a multiple of pi on the other; None if that is not so."""
    for one, other in ((gold, answer), (answer, gold)):
        is_radians = not other.unit and other.value is not None and "pi" in other.value.atoms
        angle = degrees_in_radians(one) if is_radians else None
        if angle is not None and other.value is not None:
            return _equal(angle, other.value)
    return None


def _same_proportion(gold: Proportion, answer: Proportion) -> bool:
    """The same parts; times of day as written, other proportions up to a factor."""
    if gold.suffix and answer.suffix and gold.suffix != answer.suffix:
        return False
    one, other = [int(part) for part in gold.parts], [int(part) for part in answer.parts]
    if one == other:
        return [len(p) for p in gold.parts[1:]] == [len(p) for p in answer.parts[1:]]
    is_time = gold.suffix or answer.suffix or any(len(part) > 1 for part in gold.parts[1:])
    if is_time or len(one) != len(other) or not all(one) or not all(other):
        return False
    return all(a * other[0] == b * one[0] for a, b in zip(one, other, strict=True))


def _same_listing(gold: Listing, answer: Listing, oracle: Oracle) -> bool | None:
    """In any order; words in theirs. Repeated items count, except in sets."""
    if any(isinstance(item, Words) for item in (*gold.items, *answer.items)):
        return _in_order(gold.items, answer.items, oracle)
    ours, theirs = list(gold.items), list(answer.items)
    if gold.is_set or answer.is_set:
        ours, theirs = _distinct(ours), _distinct(theirs)
    return _matched(ours, theirs, oracle)


def _distinct(items: list[Value]) -> list[Value]:
    kept: list[Value] = []
    for item in items:
        if not any(same(item, other) for other in kept):
            kept.append(item)
    return kept


def _matched(gold: list[Value], answer: list[Value], oracle: Oracle) -> bool | None:
    """Pairs each item with one of the others; the oracle is asked about those left over."""
    if len(gold) != len(answer):
        return False
    left = list(answer)
    doubtful: list[Value] = []
    for item in gold:
        found = next((k for k, other in enumerate(left) if same(item, other) is True), None)
        if found is None:
            doubtful.append(item)
        else:
            del left[found]
    if not all(_may_be_one_of(item, left) for item in doubtful):
        return False
    if not all(_may_be_one_of(item, doubtful) for item in left):
        return False
    is_sure = True
    for item in doubtful:
        results: list[bool | None] = []
        for other in left:
            results.append(same(item, other, oracle))
            if results[-1]:
                break
        if True in results:
            del left[len(results) - 1]
        elif None in results:
            is_sure = False
        else:
            return False
    return True if is_sure else None


def _may_be_one_of(item: Value, others: list[Value]) -> bool:
    return any(same(item, other) is not False for other in others)


def _same_intervals(gold: Value, answer: Value, oracle: Oracle) -> bool | None:
    one, other = _parts(gold), _parts(answer)
    if one is None or other is None or len(one) != len(other):
        return False
    if len(one) == 1:
        return _same_part(one[0], other[0], oracle)
    left = list(other)
    for part in one:
        found = next((k for k, p in enumerate(left) if _same_part(part, p, oracle)), None)
        if found is None:
            # a doubt about an end is a doubt about the whole
            doubt = any(_same_part(part, p, oracle) is None for p in left)
            return None if doubt else False
        del left[found]
    return True


def _parts(value: Value) -> list[Value] | None:
    """The intervals and sets of a union, or of one interval."""
    whole = value.parts if isinstance(value, Union) else (value,)
    parts = [_as_interval(part) for part in whole]
    return [part for part in parts if part] if all(parts) else None


def _as_interval(value: Value) -> Value | None:
    if isinstance(value, Interval | Listing):
        return value
    if isinstance(value, Row) and len(value.items) == 2 and value.left in "([":
        low, high = value.items
        return Interval(low, high, value.left == "[", value.right == "]")
    return None


def _same_part(gold: Value, answer: Value, oracle: Oracle) -> bool | None:
    if not isinstance(gold, Interval) or not isinstance(answer, Interval):
        return same(gold, answer, oracle) if type(gold) is type(answer) else False
    if gold.variable and answer.variable and gold.variable != answer.variable:
        return False
    if _ends(gold) != _ends(answer):
        return False
    return _in_order((gold.low, gold.high), (answer.low, answer.high), oracle)


def _ends(interval: Interval) -> tuple[bool, bool]:
    """Whether its ends belong to it; an infinite end never does."""
    return (
        interval.has_low and not isinstance(interval.low, Infinity),
        interval.has_high and not isinstance(interval.high, Infinity),
    )
