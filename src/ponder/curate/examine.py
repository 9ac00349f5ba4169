"""What can be said of a batch of rows without knowing the others: the part done by workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.config.curate import CurateConfig
from ponder.curate.decontaminate import EvaluationIndex, Hit
from ponder.curate.dedupe import exact_hash
from ponder.curate.filters import drop_reason
from ponder.curate.minhash import SIZE, Signatures, signatures
from ponder.curate.row import Row, row_from_line
from ponder.curate.tokens import Hashes, Tokens, tokenize
from ponder.errors import PonderError

PARTS = ("question", "prompt", "completion")


@dataclass(frozen=True, slots=True)
class Examined:
    """A batch of rows, examined one by one.

    Attributes:
        reasons: [rows] why each is dropped, or None.
        hashes: [readable rows] of their exact texts.
        signatures: [readable rows, SIZE] of their words; empty if near duplicates may stay.
        hits: by row, what was found in evaluation sets.
        domains: [rows] of each.
    """

    reasons: list[str | None]
    hashes: Hashes
    signatures: Signatures
    hits: dict[int, list[dict[str, Any]]]
    domains: list[str]


def examine(
    lines: Sequence[bytes], place: str, numbers: Sequence[int], settings: str, index: str
) -> Any:
    """Examine rows given as lines of JSON; what comes back can travel, see ``received``.

    Args:
        place, numbers: the file and the numbers of the lines, for errors.
        settings: a CurateConfig as JSON.
        index: path of an EvaluationIndex, or "".
    """
    try:
        pairs = zip(lines, numbers, strict=True)
        rows = [row_from_line(line, f"{place}:{number}") for line, number in pairs]
    except PonderError as error:
        return error.field, str(error.value), error.fix
    done = examine_rows(rows, _config(settings), _index(index) if index else None)
    packed = done.hashes.tobytes(), done.signatures.tobytes()
    return done.reasons, *packed, done.hits, done.domains


def received(answer: Any) -> Examined:
    """What ``examine`` sent. Raises the PonderError that it met."""
    if len(answer) == 3:
        raise PonderError(*answer)
    reasons, hashes, found, hits, domains = answer
    shaped = np.frombuffer(found, np.uint8).reshape(-1, SIZE)
    return Examined(reasons, np.frombuffer(hashes, np.uint64), shaped, hits, domains)


def examine_rows(
    rows: Sequence[Row], config: CurateConfig, index: EvaluationIndex | None
) -> Examined:
    """Filters, hashes and contamination of some rows."""
    reasons = [drop_reason(row, config.filters) for row in rows]
    readable = [number for number, reason in enumerate(reasons) if reason is None]
    left = [rows[number] for number in readable]
    found: Signatures = np.zeros((0, SIZE), np.uint8)
    hits: dict[int, list[dict[str, Any]]] = {}
    wants_near = config.dedupe.near_threshold <= 1
    if left and (wants_near or index is not None):
        parts = tokenize([text for row in left for text in _parts(row)])
        if wants_near:
            found = signatures(_compared(left, parts, config.dedupe.near_text))
        for hit in _find(index, parts) if index is not None else ():
            number, part = divmod(hit.text, len(PARTS))
            named = {"id": left[number].id, "part": PARTS[part]} | asdict(hit)
            del named["text"]
            hits.setdefault(readable[number], []).append(named)
    return Examined(reasons, _hashes(left), found, hits, [row.domain for row in rows])


def _parts(row: Row) -> tuple[str, str, str]:
    """PARTS of a row; of the prompt nothing where it is the question and its template."""
    is_told = row.question.strip() and row.question.strip() in row.prompt
    return row.question, "" if is_told else row.prompt, row.completion


def _hashes(rows: Sequence[Row]) -> Hashes:
    return np.fromiter(map(exact_hash, rows), np.uint64, len(rows))


def _compared(rows: Sequence[Row], parts: Tokens, near_text: str) -> Tokens:
    """The words by which near duplicates are told; of whole rows they are those of ``parts``."""
    if near_text == "completion":
        return tokenize([row.completion for row in rows])
    by_row: NDArray[np.intp] = parts.rows[:: len(PARTS)]
    return Tokens(parts.hashes, by_row, parts.starts, parts.ends, parts.joined)


def _find(index: EvaluationIndex, parts: Tokens) -> list[Hit]:
    questions = [hit for hit in index.find_equal(parts) if hit.text % len(PARTS) == 0]
    return index.find(parts) + questions


@lru_cache(maxsize=4)
def _config(settings: str) -> CurateConfig:
    return CurateConfig.model_validate_json(settings)


@lru_cache(maxsize=2)
def _index(path: str) -> EvaluationIndex:
    return EvaluationIndex.load(Path(path))
