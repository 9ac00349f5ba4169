"""The kinds of test that a program can be put to, all frozen and plain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Relation = Literal["==", "!=", "is", "is not", "in", "not in", "<", "<=", ">", ">=", "close"]


@dataclass(frozen=True, slots=True)
class StdioTest:
    """A whole program: what it reads and what it must print.

    ``tolerance``: numbers in the output may differ by this much, relatively or absolutely; None
    compares them as text.
    """

    stdin: str
    stdout: str
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class CallTest:
    """A call of a function, as JSON: arguments in, value out."""

    call: str
    args: tuple[Any, ...]
    expected: Any
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ValueTest:
    """An assert taken apart: the expression is evaluated in the child, the rest is done here.

    Attributes:
        expression: Python source with the candidate's call in it, and nothing of what is expected.
        expected: a plain value (numbers, text, containers).
        relation: how the value must stand to ``expected``; ``close`` is within the tolerances.
        setup: source that runs after the program and before the expression.
    """

    expression: str
    expected: Any
    relation: Relation = "=="
    setup: str = ""
    relative: float = 0.0
    absolute: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckTest:
    """Source that raises where the program is wrong; it runs beside the program, so it is weak."""

    source: str


CodeTest = StdioTest | CallTest | ValueTest | CheckTest
