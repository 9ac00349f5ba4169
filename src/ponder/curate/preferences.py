"""Files of preferences: pairs for helpfulness, labels for safety; one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ponder.curate.reader import read_lines
from ponder.curate.strict import parse_line
from ponder.curate.writer import Mark, RowWriter
from ponder.errors import PonderError


@dataclass(frozen=True, slots=True)
class Pair:
    """Two completions of a prompt of which one was preferred, by ``margin``."""

    prompt: str
    chosen: str
    rejected: str
    margin: float = 1.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """A completion that is good (safe) or not."""

    prompt: str
    completion: str
    is_good: bool


def read_pairs(path: Path) -> Iterator[Pair]:
    """The pairs of a file; fields beside those of ``Pair`` are left alone.

    Raises:
        PonderError: no such file, a damaged one, or a line that is no pair (with its number).
    """
    for where, row in _objects(path):
        margin = row.get("margin", 1.0)
        is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
        if not is_number or not math.isfinite(margin) or margin < 0:
            raise PonderError(f"{where} margin", margin, "must be a number, 0 or more")
        prompt, chosen, rejected = (_text(where, row, n) for n in ("prompt", "chosen", "rejected"))
        yield Pair(prompt, chosen, rejected, float(margin))


def read_labelled(path: Path) -> Iterator[Labelled]:
    """The labelled completions of a file. PonderError as ``read_pairs``."""
    for where, row in _objects(path):
        label = row.get("is_good")
        if not isinstance(label, bool):
            raise PonderError(f"{where} is_good", label, "must be true or false")
        yield Labelled(_text(where, row, "prompt"), _text(where, row, "completion"), label)


def write_preferences(path: Path, rows: Iterable[Pair | Labelled]) -> int:
    """Write a file anew, whole or not at all; returns how many rows."""
    num_rows = 0
    with RowWriter(path, at=Mark()) as writer:
        for row in rows:
            writer.write_line(json.dumps(asdict(row), ensure_ascii=False).encode() + b"\n")
            num_rows += 1
    return num_rows


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        try:
            row = parse_line(line)
        except ValueError as error:
            raise PonderError(
                where, line[:80].decode(errors="replace"), f"not JSON: {error}"
            ) from error
        if not isinstance(row, dict):
            raise PonderError(where, row, "must be a JSON object")
        yield where, row


def _text(where: str, row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise PonderError(f"{where} {name}", value, "must be a text")
    return value
