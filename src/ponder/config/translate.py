"""pydantic's errors in Ponder's form: the key, its value and the fix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from ponder.config.base import Config
from ponder.config.overrides import unknown_key
from ponder.errors import PonderError


def translate(
    error: ValidationError, cls: type[Config], origin: Callable[[str], str]
) -> PonderError:
    """The first complaint of ``error`` as a PonderError; ``origin`` says who set a key."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    value = first["input"]
    if first["type"] == "extra_forbidden":
        wrong = unknown_key(cls, key, value)
        return PonderError(wrong.field, wrong.value, f"{wrong.fix} (from {origin(key)})")
    return PonderError(key, value, f"{_fix(first)} (from {origin(key)})")


def _fix(complaint: Mapping[str, Any]) -> str:
    message = str(complaint["msg"])
    message = message.removeprefix("Value error, ")
    return message.replace("Input should be", "must be", 1)
