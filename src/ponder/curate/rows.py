"""Rows of training text in .jsonl and .jsonl.zst files: one JSON object a line, read as a stream.

A file appears under its name only when it is whole: until then it is ``NAME.part``, which a writer
that was killed goes on with. A .zst file is a row of zstd frames, each of whole lines, so that the
file can be cut after any of them; ``zstdcat FILE`` reads it like any other.
"""

from ponder.curate.reader import part_path, read_lines, read_rows
from ponder.curate.row import Row, row_from_line, row_to_line
from ponder.curate.writer import Mark, RowWriter

__all__ = [
    "Mark",
    "Row",
    "RowWriter",
    "part_path",
    "read_lines",
    "read_rows",
    "row_from_line",
    "row_to_line",
]
