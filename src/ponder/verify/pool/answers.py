"""What comes back from a worker: a value, or why there is none. Never an exception."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

FailureKind = Literal["timeout", "crash", "exception", "memory"]
"""``timeout``: killed at its deadline. ``crash``: the worker died, or the pool was closed.
``exception``: the function raised, or its arguments or its value cannot travel. ``memory``: more
than the worker may take."""


@dataclass(frozen=True, slots=True)
class Done:
    """The function returned; ``seconds`` are of the call alone, on the worker's clock."""

    value: Any
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no value. ``detail`` says why in one line; ``seconds`` as in ``Done``."""

    kind: FailureKind
    detail: str
    seconds: float = field(default=0.0, compare=False)


Answer = Done | Failed
