"""A call as it travels to a worker, and what both sides need to speak of it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.errors import PonderError

STARTED = b"started"
"""The frame by which a worker says that its work on a call begins."""

_MAX_DETAIL = 500


@dataclass(frozen=True, slots=True)
class Request:
    """A call: ``modules`` are imported before it starts, outside its deadline.

    Without a function only the modules are imported, and there is no answer. ``path`` is where to
    look for them, if that is not where the worker has looked so far.
    """

    function: str | None
    modules: Sequence[str]
    arguments: bytes
    deadline_seconds: float
    path: Sequence[str] | None = None


class Here:
    """Whether this process is a worker."""

    is_worker = False


def module_of(function: str) -> str:
    """The module in "package.module:name"; PonderError if it is not of that form."""
    module, colon, name = function.partition(":")
    if not (module and colon and name.isidentifier()) or module == "__main__":
        fix = 'use "package.module:name" of a function that any process can import'
        raise PonderError("function", function, fix)
    return module


def function_named(function: str) -> Callable[..., Any]:
    """The function itself. Raises what its import raises, or AttributeError."""
    found: Callable[..., Any] = getattr(
        importlib.import_module(module_of(function)), function.partition(":")[2]
    )
    return found


def describe(error: BaseException) -> str:
    """An exception as one short line: its type, its text and where it was raised."""
    try:
        text = " ".join(str(error)[: 4 * _MAX_DETAIL].split())[:_MAX_DETAIL]
    except Exception:  # noqa: BLE001 - a __str__ of theirs
        text = ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = ""
    if trace is not None:
        where = f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"
