"""A row of training text, and the line of JSON that it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ponder.curate.strict import parse_line
from ponder.errors import PonderError

_TEXTS = ("id", "prompt", "completion", "domain", "source")


@dataclass(frozen=True, slots=True)
class Row:
    """One training text: a prompt as the model sees it (template applied) and its completion.

    ``domain`` is what the data card counts by ("math", "code", "general"); ``source`` says where
    the row is from. ``metadata`` is free: its keys stand beside the others in the JSON object.
    Known to this room: "question" (the problem without its template), "problem_id", "language".
    """

    id: str
    prompt: str
    completion: str
    domain: str = ""
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """The question without its template where the row carries it, otherwise the prompt."""
        question = self.metadata.get("question")
        return question if isinstance(question, str) else self.prompt


def row_to_line(row: Row) -> bytes:
    """The row as one line of JSON, newline included.

    Raises:
        PonderError: a key of the metadata is one of the row's own, or a value is no JSON.
    """
    taken = [name for name in _TEXTS if name in row.metadata]
    if taken:
        fix = f"row {row.id!r}: this is a field of the row itself; rename it in the metadata"
        raise PonderError("metadata", taken[0], fix)
    fields = {name: getattr(row, name) for name in _TEXTS} | dict(row.metadata)
    try:
        return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise PonderError("row", row.id, f"it cannot be written as JSON: {error}") from error


def row_from_line(line: bytes, place: str) -> Row:
    """The row that a line holds; ``place`` ("a.jsonl:12") is named in the error.

    Raises:
        PonderError: no JSON object, a field is missing or no text, no id, or no prompt and no
            completion.
    """
    try:
        fields = parse_line(line)
    except ValueError as error:
        shown = line[:60].decode(errors="replace")
        fix = f"{place} is not valid JSON ({error}); mend or remove that line"
        raise PonderError("rows", shown, fix) from error
    if not isinstance(fields, dict):
        raise PonderError("rows", fields, f"{place} must be a JSON object with the fields of a row")
    texts = {name: _text(fields, name, place) for name in _TEXTS}
    if not texts["id"]:
        raise PonderError("rows", texts["id"], f"{place}: id must not be empty")
    return Row(**texts, metadata=fields)


def _text(fields: dict[str, Any], name: str, place: str) -> str:
    value = fields.pop(name, "" if name in ("domain", "source") else None)
    if isinstance(value, str):
        return value
    found = f"{name} must be text" if value is not None else f"there is no field {name!r}"
    fix = f'{place}: {found}; a row is like {{"id": "a-1", "prompt": "...", "completion": "..."}}'
    raise PonderError("rows", value if value is not None else sorted(fields), fix)
