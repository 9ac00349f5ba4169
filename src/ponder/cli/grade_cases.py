"""The lines of `ponder grade`: whatever they hold, each becomes one case."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from ponder.problems.rows import answer_text
from ponder.types import Problem
from ponder.verify.verifier_pool import Timed

MAX_LINE_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 16
_SHOWN_CHARACTERS = 1000
_MAX_DEPTH = 100
_TOO_DEEP = f"JSON nested more than {_MAX_DEPTH} deep"
_OURS = ("gold", "completion", "question", "metadata")


class Readable(Protocol):
    """An unbuffered binary file."""

    def read(self, size: int, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Case:
    """A line that was read. Without a problem it cannot be judged, and ``fault`` says why.

    ``fields`` are the line's own, to be written again; of a line that is no sound JSON object,
    only ``line``: the start of its text.
    """

    number: int
    num_bytes: int
    fields: Mapping[str, Any]
    problem: Problem | None = None
    completion: str = ""
    fault: str = ""


class _FaultError(Exception):
    """Says in its text what is wrong with a line."""


def read_cases(file: Readable, kind: str) -> Iterator[Case]:
    """A case for each line, numbered from 1; a line is never held beyond ``MAX_LINE_BYTES``."""
    for number, (raw, num_bytes) in enumerate(_lines(file), start=1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        yield _case(number, num_bytes, raw, kind)


def _lines(file: Readable) -> Iterator[tuple[bytes, int]]:
    """Each line without its end (cut off where it is too long), and the bytes it has in all."""
    held: list[bytes] = []
    num_bytes = 0
    while chunk := file.read(_CHUNK_BYTES):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join([*held, end]), num_bytes + len(end)
            held, num_bytes = [], 0
        if num_bytes <= MAX_LINE_BYTES:
            held.append(rest)
        num_bytes += len(rest)
    if num_bytes:
        yield b"".join(held), num_bytes


def _case(number: int, num_bytes: int, raw: bytes, kind: str) -> Case:
    fields: Mapping[str, Any] | None = None
    try:
        fields = _object(raw, num_bytes)
        gold, completion = _text(fields, "gold"), _text(fields, "completion")
        problem = Problem(f"line-{number}", _question(fields), gold, kind, _metadata(fields))
    except _FaultError as error:
        if fields is None:
            fields = {"line": raw[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "replace")}
            fields["line"] = fields["line"][:_SHOWN_CHARACTERS]
        return Case(number, num_bytes, fields, fault=str(error))
    return Case(number, num_bytes, fields, problem, completion)


def _object(raw: bytes, num_bytes: int) -> Mapping[str, Any]:
    if num_bytes > MAX_LINE_BYTES:
        raise _FaultError(f"a line of {num_bytes:,} bytes (at most {MAX_LINE_BYTES:,})")
    try:
        found = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _FaultError(f"not UTF-8: byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        raise _FaultError(f"not JSON: {error.msg} (column {error.colno})") from error
    except RecursionError as error:
        raise _FaultError(_TOO_DEEP) from error
    except ValueError as error:  # an integer of thousands of digits
        raise _FaultError(f"not read: {error}") from error
    if not isinstance(found, dict):
        raise _FaultError(f"not a JSON object but {_name(found)}")
    if _is_deep(found):
        raise _FaultError(_TOO_DEEP)
    return found


def _is_deep(value: object) -> bool:
    """Nested too deep to be sure that it can be sent to a worker and written again."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        inner = [item for item in level if isinstance(item, dict | list)]
        level = [part for item in inner for part in _parts(item)]
        if not level:
            return False
    return True


def _parts(value: dict[str, Any] | list[Any]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _text(fields: Mapping[str, Any], key: str) -> str:
    if key not in fields:
        raise _FaultError(f"there is no {key!r}")
    value = fields[key]
    if key == "gold" and isinstance(value, int | float) and not isinstance(value, bool):
        value = answer_text(value)  # as a reference in a data set: 27.0 is 27
    if not isinstance(value, str):
        raise _FaultError(f"{key!r} is not text but {_name(value)}")
    if not _is_unicode(value):
        raise _FaultError(f"{key!r} is not text: half of a surrogate pair in it")
    return value


def _question(fields: Mapping[str, Any]) -> str:
    question = fields.get("question", "")
    return question if isinstance(question, str) else ""


def _metadata(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a verifier may need beyond the reference: ``metadata``, and all other fields."""
    metadata = fields.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise _FaultError(f"'metadata' is not an object but {_name(metadata)}")
    return {key: value for key, value in fields.items() if key not in _OURS} | metadata


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value"}
    return names.get(type(value), "null" if value is None else "a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _FaultError(f"the key {twice[:50]!r} is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _FaultError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _FaultError(f"the number {text[:50]} is too large")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
)


def verdict_line(case: Case, timed: Timed) -> bytes:
    """The line's own fields and the judgement, as one line of JSON."""
    judgement = timed.judgement
    told = {
        "verdict": judgement.verdict.value,
        "answer": judgement.answer,
        "reason": judgement.reason,
        "milliseconds": round(1000 * timed.seconds, 3),
    }
    try:
        line = json.dumps({**case.fields, **told}, ensure_ascii=False, allow_nan=False)
        return line.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair is written as the escape that it was
        return json.dumps({**case.fields, **told}, allow_nan=False).encode() + b"\n"
