"""What an answer can be: a small tree of frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.verify.math.algebra import Ratio


@dataclass(frozen=True, slots=True)
class Scalar:
    """One quantity. ``value`` is None where our own reader can't tell; then sympy may.

    ``text`` is LaTeX without the unit and the percent sign; ``unit`` as in ``verify.units``;
    ``base`` is the one that a number is written in.
    """

    text: str
    value: Ratio | None
    unit: str = ""
    is_percent: bool = False
    base: int = 10


@dataclass(frozen=True, slots=True)
class Infinity:
    """An end of the number line: ``sign`` is 1 or -1."""

    sign: int


@dataclass(frozen=True, slots=True)
class Words:
    """Text that is no formula, in one case."""

    key: str


@dataclass(frozen=True, slots=True)
class Proportion:
    """``2:3`` or ``12:00``: the parts as written, and what follows ("pm")."""

    parts: tuple[str, ...]
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A set in braces, or a list of items without any brackets."""

    items: tuple[Value, ...]
    is_set: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Two or more items in brackets: a tuple, a vector, perhaps an interval."""

    left: str
    items: tuple[Value, ...]
    right: str


@dataclass(frozen=True, slots=True)
class Interval:
    """From an inequality; the name of its variable is kept."""

    low: Value
    high: Value
    has_low: bool
    has_high: bool
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Union:
    """Intervals and sets put together, in any order."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Named:
    r"""``x = value`` or ``x \\in value``."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides, neither of them a single name."""

    left: Scalar
    right: Scalar


@dataclass(frozen=True, slots=True)
class Inequality:
    """``smaller < larger`` (or ``<=`` where it is closed) that is no interval of a variable."""

    smaller: Scalar
    larger: Scalar
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Equal to nothing but the same text."""

    reason: str


Value = (
    Scalar
    | Infinity
    | Words
    | Proportion
    | Listing
    | Row
    | Interval
    | Union
    | Matrix
    | Named
    | Equation
    | Inequality
    | Unreadable
)
