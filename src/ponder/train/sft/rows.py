"""Rows of a file to fine-tune on, one at a time; what is wrong with one is said of its line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.curate.reader import read_lines
from ponder.errors import PonderError


@dataclass(frozen=True, slots=True)
class SFTRow:
    """``prompt`` is the whole text that the model sees, or a question that gets the template."""

    prompt: str
    is_question: bool
    completion: str
    place: str
    """FILE:LINE."""


def read_rows(path: Path, field: str) -> Iterator[SFTRow]:
    """The rows of a .jsonl or .jsonl.zst file; ``field`` is what errors call its path.

    Raises:
        PonderError: no such file, another kind of file, one that is half written, a line that is
            no JSON object, a field that is missing, empty or no text.
    """
    lines = read_lines(path)
    while True:
        try:
            number, line = next(lines)
        except StopIteration:
            return
        except PonderError as error:  # of the file: the user knows it by the key of the config
            raise PonderError(field, error.value, error.fix) from error
        place = f"{path}:{number}"
        yield _row(_object(line, path, place), place)


def _object(line: bytes, path: Path, place: str) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        fix = f"this line is not JSON ({error}); mend or remove it"
        if _ends_with(path, line):
            fix = "the file ends inside this line: it is half written or was cut; write it again"
        raise PonderError(place, line[:80].decode(errors="replace"), fix) from error
    if not isinstance(found, dict):
        fix = 'each line must be an object, {"prompt": ..., "completion": ...}'
        raise PonderError(place, found, fix)
    return found


def _ends_with(path: Path, line: bytes) -> bool:
    """Whether the file's last bytes are ``line``, without a newline."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(line)))
        return file.read() == line


def _row(fields: dict[str, Any], place: str) -> SFTRow:
    """A "prompt" goes before a "question", which may be there to say where the prompt is from."""
    key = "question" if "question" in fields and "prompt" not in fields else "prompt"
    prompt = _text(fields, key, place)
    return SFTRow(prompt, key == "question", _text(fields, "completion", place), place)


def _text(fields: dict[str, Any], key: str, place: str) -> str:
    name = f"{place}: {key}"
    if key not in fields:
        wanted = '"prompt" (or "question")' if key == "prompt" else f'"{key}"'
        there = ", ".join(fields) or "none"
        raise PonderError(name, None, f"this line has no field {wanted} (it has {there}); add it")
    value = fields[key]
    if not isinstance(value, str):
        raise PonderError(name, value, "must be a text; put it in quotes")
    if not value.strip():
        raise PonderError(name, value, "is empty: there is nothing to learn; remove this line")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise PonderError(name, value, f"is no valid Unicode ({error.reason}); mend it") from error
    return value
