"""How many rows a stage will read, and how long they are, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ponder.curate.reader import read_lines
from ponder.pipeline.kinds import Source

BYTES_PER_TOKEN = 4
"""Of a line of JSON with English text in it; a guess, for no tokenizer is opened to plan."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Rows of all files together, bytes of a line on average where all are there, and tokens of a
    row where their stages expect them; None where nobody can say."""

    rows: int | None = None
    line_bytes: float | None = None
    row_tokens: float | None = None

    def tokens(self, most: int) -> int:
        """Expected tokens of a row; ``most`` where nobody can say."""
        if self.line_bytes is not None:
            return max(1, min(most, int(self.line_bytes / BYTES_PER_TOKEN)))
        return most if self.row_tokens is None else max(1, min(most, round(self.row_tokens)))


def amount_of(sources: Sequence[Source]) -> Amount:
    """Files are counted; what is not there yet is as its stage expects it."""
    rows = num_bytes = 0
    tokens: float | None = 0.0
    is_measured = True
    for source in sources:
        if source.path is not None:
            of_file, bytes_of_file = _count(source.path)
            rows, num_bytes = rows + of_file, num_bytes + bytes_of_file
            tokens = _added(tokens, bytes_of_file / BYTES_PER_TOKEN)
        elif source.estimate.rows is not None:
            rows, is_measured = rows + source.estimate.rows, False
            each = source.estimate.row_tokens
            tokens = _added(tokens, None if each is None else each * source.estimate.rows)
        else:
            return Amount()
    mean = tokens / rows if rows and tokens is not None else None
    return Amount(rows, num_bytes / rows if rows and is_measured else None, mean)


def _added(sum_of: float | None, more: float | None) -> float | None:
    return None if sum_of is None or more is None else sum_of + more


def _count(path: Path) -> tuple[int, int]:
    """(rows, bytes) of a file."""
    rows = num_bytes = 0
    for _, line in read_lines(path):
        rows += 1
        num_bytes += len(line)
    return rows, num_bytes
