"""The review of cold-start data: a text file in which a person marks and mends rows.

One block a row: a line ``keep: ?`` to be answered, the question to read, the completion to edit as
one likes. Nothing goes on until every row is marked (or ``yes`` is given). DeepSeek-R1's annotators
did this twice (arXiv 2501.12948 v2, B.3.2): on the first rewritten traces, and on what a model then
wrote after their example.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ponder.curate.reader import read_rows
from ponder.curate.row import Row
from ponder.curate.writer import Mark, RowWriter
from ponder.errors import PonderError
from ponder.runlog.durable import write_atomic

_HEAD = """# Review of {name}
# candidates {digest}

Answer every "keep: ?" with yes or no. The text under [ completion ] may be edited: what stands
there is what a model will be taught. Leave the lines with brackets and the questions as they are.
"""
_ROW = re.compile(r"=====\[ row (\d+) of (\d+): (.*) \]=====")
_QUESTION, _COMPLETION, _END = (
    "-----[ question ]-----",
    "-----[ completion ]-----",
    "=====[ end ]=====",
)
_LIKE_A_MARK = re.compile(r"\\*(?:=====|-----)\[")
_KEEP = re.compile(r"keep:(.*)", re.IGNORECASE)
_ANSWERS = {"yes": True, "y": True, "no": False, "n": False, "?": None, "": None}


@dataclass(frozen=True, slots=True)
class Block:
    """One row of a review. ``keep`` is None while it is not marked; ``line`` is where it begins."""

    line: int
    id: str
    keep: bool | None
    question: str
    completion: str


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """Rows of a review by their mark, and how many of the kept were edited."""

    num_kept: int = 0
    num_dropped: int = 0
    num_unmarked: int = 0
    num_edited: int = 0


def write_review(candidates: Path, review: Path) -> None:
    """Write a review of a file of rows, every row unmarked. One of the same rows is left alone.

    Raises:
        PonderError: there is a review of other rows under that name; it is not overwritten.
    """
    digest = _digest(candidates)
    if review.exists():
        _check_digest(review, digest, candidates)
        return
    rows = list(read_rows(candidates))
    parts = [_HEAD.format(name=candidates.name, digest=digest)]
    parts += [_block(number, len(rows), row) for number, row in enumerate(rows, start=1)]
    write_atomic(review, "\n".join(parts).encode())


def apply_review(review: Path, candidates: Path, out: Path, yes: bool = False) -> ReviewSummary:
    """Write the rows that are kept, edits taken over, to ``out``.

    Blanks at the ends of lines do not count as edits (editors take them away). Edited rows carry
    "edited": true.

    Args:
        yes: keep the rows that are not marked.

    Raises:
        PonderError: a row is not marked; a block is damaged, missing or of another row; the
            candidates are not those that the review was written of; a kept row was emptied. It
            names the block.
    """
    _check_digest(review, _digest(candidates), candidates)
    pairs = list(_paired(review, candidates))
    unmarked = [block for block, _ in pairs if block.keep is None]
    if unmarked and not yes:
        fix = (
            f"{review}:{unmarked[0].line}: {len(unmarked)} of {len(pairs)} rows are not marked, "
            "this is the first: answer keep: yes or keep: no (or keep all unmarked with --yes)"
        )
        raise PonderError("keep", unmarked[0].id, fix)
    kept = [_edited(review, block, row) for block, row in pairs if block.keep is not False]
    with RowWriter(out, at=Mark()) as writer:
        for row in kept:
            writer.write(row)
    num_edited = sum("edited" in row.metadata for row in kept)
    return ReviewSummary(len(kept), len(pairs) - len(kept), len(unmarked), num_edited)


def review_status(review: Path) -> ReviewSummary:
    """How far the marking is. PonderError as ``apply_review`` for a damaged block."""
    marks = [block.keep for block in read_blocks(review)]
    return ReviewSummary(marks.count(True), marks.count(False), marks.count(None))


def read_blocks(review: Path) -> Iterator[Block]:
    """The blocks of a review, in order. PonderError names the first damaged one."""
    lines = _text(review).split("\n")
    starts = [number for number, line in enumerate(lines) if _ROW.fullmatch(line.rstrip())]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield _read_block(review, start + 1, [line.rstrip("\r") for line in lines[start:end]])


def _block(number: int, total: int, row: Row) -> str:
    name = " ".join(row.id.split())
    return "\n".join(
        [
            f"=====[ row {number} of {total}: {name} ]=====",
            "keep: ?",
            _QUESTION,
            _escaped(row.question),
            _COMPLETION,
            _escaped(row.completion),
            _END,
            "",
        ]
    )


def _read_block(review: Path, number: int, lines: list[str]) -> Block:
    head = _ROW.fullmatch(lines[0].rstrip())
    assert head is not None
    marks = [line.rstrip() for line in lines]
    places = [marks.index(mark) if mark in marks else 0 for mark in (_QUESTION, _COMPLETION, _END)]
    if 0 in places or places != sorted(places):
        fix = f"{review}:{number}: the block of this row has lost one of its lines with brackets"
        raise PonderError("review", head[3], f"{fix}; put it back as in the other blocks")
    question, completion, end = places
    keep = _keep(review, number, head[3], lines[1:question])
    texts = lines[question + 1 : completion], lines[completion + 1 : end]
    return Block(number, head[3], keep, *("\n".join(map(_unescaped, text)) for text in texts))


def _keep(review: Path, number: int, name: str, lines: list[str]) -> bool | None:
    found = [match[1].strip().lower() for line in lines if (match := _KEEP.match(line.strip()))]
    if len(found) == 1 and found[0] in _ANSWERS:
        return _ANSWERS[found[0]]
    shown = f"keep: {found[0]}" if found else "no line keep:"
    fix = f"{review}:{number}: row {name} has {shown!r}; write keep: yes or keep: no, once"
    raise PonderError("keep", found[0] if found else name, fix)


def _paired(review: Path, candidates: Path) -> Iterator[tuple[Block, Row]]:
    """Each block with its row; they must be the same rows in the same order."""
    blocks = read_blocks(review)
    for row in read_rows(candidates):
        block, name = next(blocks, None), " ".join(row.id.split())
        if block is None or block.id != name:
            found = f"{review}:{block.line} has row {block.id}" if block else "the review ends"
            fix = f"the block of this row is missing ({found} instead); mark it keep: no instead"
            raise PonderError("review", name, fix)
        if _plain(block.question) != _plain(row.question):
            fix = f"{review}:{block.line}: the question was changed; only completions are taken"
            raise PonderError("review", name, f"{fix} over. Restore it, or mark it keep: no")
        yield block, row
    if (block := next(blocks, None)) is not None:
        fix = f"{review}:{block.line}: there is no such row in {candidates}; take the block out"
        raise PonderError("review", block.id, fix)


def _edited(review: Path, block: Block, row: Row) -> Row:
    if _plain(block.completion) == _plain(row.completion):
        return row
    if not block.completion.strip():
        fix = f"{review}:{block.line}: there is no completion left; mark this row keep: no"
        raise PonderError("review", block.id, fix)
    return replace(row, completion=block.completion, metadata={**row.metadata, "edited": True})


def _plain(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _escaped(text: str) -> str:
    """Lines that look like the file's own get a backslash."""
    return "\n".join(f"\\{x}" if _LIKE_A_MARK.match(x) else x for x in text.split("\n"))


def _unescaped(line: str) -> str:
    return line[1:] if line.startswith("\\") and _LIKE_A_MARK.match(line) else line


def _text(review: Path) -> str:
    try:
        return review.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise PonderError("review", str(review), "there is no such file") from error
    except UnicodeDecodeError as error:
        raise PonderError("review", str(review), f"save it as UTF-8 ({error})") from error


def _digest(candidates: Path) -> str:
    if not candidates.is_file():
        raise PonderError("rows", str(candidates), "there is no such file")
    return hashlib.sha256(candidates.read_bytes()).hexdigest()[:16]


def _check_digest(review: Path, digest: str, candidates: Path) -> None:
    if f"# candidates {digest}" not in _text(review)[:1000].splitlines():
        fix = (
            f"it is not of the rows that {candidates} has now; its marks were left untouched: "
            "move the review away to start a new one, or restore the candidates"
        )
        raise PonderError("review", str(review), fix)
