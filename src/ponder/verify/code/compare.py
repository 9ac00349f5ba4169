"""What a program gave against what its test expects, on plain values, outside the program."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from ponder.verify.code.kinds import StdioTest, ValueTest

RELATIVE_TOLERANCE = 1e-6
ABOUT_ZERO = 1e-12
MAX_DEPTH = 100
MAX_KEY = 10**1000
_NUMBER = re.compile(r"[-+]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][-+]?\d{1,4})?", re.ASCII)

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def same_output(test: StdioTest, stdout: bytes) -> bool:
    """Line by line; whitespace at the end of a line and empty lines at the end do not count.

    Lines end at a newline only. With a tolerance, numbers of a line may differ by it. Output that
    is not UTF-8 is never the same.
    """
    try:
        lines = _lines(stdout.decode())
    except UnicodeDecodeError:
        return False
    expected = _lines(test.stdout)
    if len(lines) != len(expected):
        return False
    pairs = zip(expected, lines, strict=True)
    if test.tolerance is None:
        return all(wanted == line for wanted, line in pairs)
    return all(_same_tokens(wanted, line, test.tolerance) for wanted, line in pairs)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(" \t\r\f\v") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_tokens(wanted: str, line: str, tolerance: float) -> bool:
    expected, tokens = wanted.split(), line.split()
    return len(expected) == len(tokens) and all(
        one == other or _close_numbers(one, other, tolerance)
        for one, other in zip(expected, tokens, strict=True)
    )


def _close_numbers(wanted: str, token: str, tolerance: float) -> bool:
    if not (_NUMBER.fullmatch(wanted) and _NUMBER.fullmatch(token)):
        return False
    return math.isclose(float(wanted), float(token), rel_tol=tolerance, abs_tol=tolerance)


def same_json(expected: object, value: object, depth: int = 0) -> bool:
    """A call's value against JSON: types count, except that a tuple is a list.

    ``True`` is not ``1``; ``5.0`` is not ``5``, but where a float is expected an int will do and
    floats may differ by a millionth of their size (by 1e-12 where 0.0 is expected). NaN equals
    nothing. Keys of a dict that are ints stand for their text, since JSON has no others.
    """
    if depth > MAX_DEPTH:
        return False
    if isinstance(expected, float):
        return _is_number(value) and close_to(expected, value)
    if isinstance(expected, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(expected)
            and all(
                same_json(one, other, depth + 1) for one, other in zip(expected, value, strict=True)
            )
        )
    if isinstance(expected, dict):
        return isinstance(value, dict) and _same_dicts(expected, value, depth)
    return type(value) is type(expected) and value == expected


def _same_dicts(expected: dict[Any, Any], value: dict[Any, Any], depth: int) -> bool:
    named = {_name(key): item for key, item in value.items()}
    return (
        len(value) == len(expected)
        and named.keys() == expected.keys()
        and all(same_json(item, named[key], depth + 1) for key, item in expected.items())
    )


def _name(key: object) -> object:
    return str(key) if type(key) is int and abs(key) < MAX_KEY else key


def holds(test: ValueTest, value: object) -> bool:
    """Whether the assert that the test was made from would pass on a plain value.

    As Python has it (``1 == True``, a tuple is no list), except that floats may differ by a
    millionth of their size, and NaN satisfies nothing.
    """
    try:
        return _holds(test, value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False


def _holds(test: ValueTest, value: object) -> bool:
    expected = test.expected
    match test.relation:
        case "==":
            return same_value(expected, value)
        case "!=":
            return not same_value(expected, value) and not _is_nan(value)
        case "is":
            return type(value) is type(expected) and value == expected
        case "is not":
            return type(value) is not type(expected) or value != expected
        case "in":
            return _is_in(value, expected)
        case "not in":
            return not _is_in(value, expected)
        case "close":
            return _is_number(value) and _is_close(expected, value, test.relative, test.absolute)
        case _:
            return _ORDER[test.relation](value, expected)


def _is_in(value: object, container: object) -> bool:
    if isinstance(container, str):
        if not isinstance(value, str):
            raise TypeError("only text is in a text")
        return value in container
    if not isinstance(container, list | tuple | set | frozenset | dict):
        raise TypeError("not a container")
    return any(same_value(item, value) for item in container)


def same_value(expected: object, value: object, depth: int = 0) -> bool:
    """Python's ``==`` on plain values, see ``holds`` for the two differences."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(expected, float):
        return isinstance(value, int | float) and close_to(expected, value)
    if isinstance(expected, complex):
        return abs(expected - _complex(value)) <= RELATIVE_TOLERANCE * abs(expected)
    if isinstance(expected, list | tuple):
        return (
            isinstance(value, list if isinstance(expected, list) else tuple)
            and len(value) == len(expected)
            and all(
                same_value(one, other, depth + 1)
                for one, other in zip(expected, value, strict=True)
            )
        )
    if isinstance(expected, dict):
        return (
            isinstance(value, dict)
            and value.keys() == expected.keys()
            and all(same_value(item, value[key], depth + 1) for key, item in expected.items())
        )
    return bool(value == expected)


def _complex(value: object) -> complex:
    return complex(value) if isinstance(value, int | float | complex) else complex("nan")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def close_to(expected: float, value: object) -> bool:
    """Within a millionth of ``expected``; NaN is close to nothing."""
    absolute = ABOUT_ZERO if expected == 0 else 0.0
    return _is_close(expected, value, RELATIVE_TOLERANCE, absolute)


def _is_close(expected: object, value: object, relative: float, absolute: float) -> bool:
    if not isinstance(expected, int | float) or not isinstance(value, int | float):
        return False
    try:
        return math.isclose(expected, value, rel_tol=relative, abs_tol=absolute)
    except OverflowError:  # an int beyond any float
        return False
