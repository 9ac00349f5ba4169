"""The stage table: rows are benchmarks, columns stages (Zero, Dev1, Dev2, Dev3, R1).

As table 3 of the paper (R1v2), with what it does not print: standard errors, lengths, the share of
completions that a person could read, and language consistency.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ponder.errors import PonderError
from ponder.pipeline.graph import Graph
from ponder.pipeline.status import pipeline_parts
from ponder.pipeline.store import PipelineFolder
from ponder.runlog import read_json

SECTIONS: Mapping[str, tuple[str, float, int, bool]] = {
    "accuracy": ("correct, %", 100.0, 1, True),
    "tokens": ("tokens", 1.0, 0, False),
    "readability": ("readable, %", 100.0, 1, True),
    "language_consistency": ("in one language, %", 100.0, 1, True),
    "reflection": ("reflective words", 1.0, 2, False),
}
"""Measure -> title, factor, decimals, and whether the best of a row is marked: more is better."""

MAIN = "Stages"
"""The title of the paper's table, in which an eval stage stands if it names none."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A mean over problems and its standard error (None where it is unknown)."""

    value: float
    stderr: float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One stage: its cells by (measure, benchmark), and the tables that it stands in."""

    label: str
    cells: Mapping[tuple[str, str], Cell]
    tables: tuple[str, ...] = ()
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table as text. ``best`` are the columns to mark; a heading has no cells."""

    title: str
    cells: Sequence[tuple[str, str]] = ()
    best: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class StageTable:
    """Columns in the order of the stages; rows in that of the first column's benchmarks."""

    columns: Sequence[Column]

    @property
    def benchmarks(self) -> list[str]:
        names = (name for column in self.columns for _, name in column.cells)
        return list(dict.fromkeys(names))

    def rows(self) -> Iterator[Row]:
        """A heading for each measure that some column has, then a row for each benchmark."""
        measured = {measure for column in self.columns for measure, _ in column.cells}
        for measure, (title, factor, decimals, marks) in SECTIONS.items():
            if measure not in measured:
                continue
            yield Row(title)
            for name in self.benchmarks:
                cells = [column.cells.get((measure, name)) for column in self.columns]
                texts = [_texts(cell, factor, decimals) for cell in cells]
                yield Row(name, texts, _best(cells, texts) if marks else ())


def read_column(path: Path) -> Column:
    """The column that a table.json of an eval stage holds.

    Raises:
        PonderError: there is no such file, or it is no such table.
    """
    table = read_json(path)
    try:
        cells = {
            (measure, name): Cell(float(found["value"]), _number(found["stderr"]))
            for name, row in table["benchmarks"].items()
            for measure, found in row["measures"].items()
        }
        tables = tuple(map(str, table.get("tables", (MAIN,))))
        return Column(str(table["label"]), cells, tables, str(table.get("stage", "")))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        fix = f"no table of an eval stage ({error!r} is missing or wrong); run that stage again"
        raise PonderError("table", str(path), fix) from error


def read_tables(paths: Sequence[Path]) -> dict[str, StageTable]:
    """The columns of eval stages side by side, a table for each title that any of them names.

    ``MAIN`` comes first, others in the order of their first columns; equal labels are numbered.
    """
    columns = [read_column(path) for path in paths]
    titles = dict.fromkeys(title for column in columns for title in column.tables)
    return {
        title: _numbered([column for column in columns if title in column.tables])
        for title in sorted(titles, key=MAIN.__ne__)
    }


def _numbered(columns: Sequence[Column]) -> StageTable:
    seen: dict[str, int] = {}
    named = []
    for column in columns:
        number = seen[column.label] = seen.get(column.label, 0) + 1
        label = column.label if number == 1 else f"{column.label} ({number})"
        named.append(replace(column, label=label))
    return StageTable(named)


def made_tables(graph: Graph, run: PipelineFolder) -> Iterator[tuple[Path, bool]]:
    """The table.json of every eval stage that was ever done, in the graph's order, and whether it
    is done as the recipe is now: else it is what was done last, with other settings or by another
    version of Ponder."""
    parts = pipeline_parts(graph, run, any_code=True)
    for stage in graph:
        if stage.kind_name != "eval":
            continue
        now = run.stage(stage.name, parts[stage.name].key)
        for folder in (now, run.newest_done(stage.name)):
            if folder is not None and (done := folder.done()) is not None:
                yield folder.path / done["outputs"]["table"]["path"], folder is now
                break


def table_paths(graph: Graph, run: PipelineFolder) -> list[Path]:
    """The table.json of every eval stage of the pipeline that is done, in the graph's order."""
    return [path for path, is_now in made_tables(graph, run) if is_now]


_INDENT, _GAP = 2, 2
_LABEL = 14
"""Characters of a label that stand in one line in any case."""


def to_rich(table: StageTable, width: int) -> Iterator[Table]:
    """For a terminal of ``width`` columns: one below the other where it does not fit beside."""
    rows = list(table.rows())
    titles = max((len(row.title) + _INDENT * bool(row.cells) for row in rows), default=0)
    needed = [_needed(column.label, number, rows) for number, column in enumerate(table.columns)]
    for part in _beside(needed, width - titles):
        shown = Table(box=None, pad_edge=False, header_style="bold")
        shown.add_column("", no_wrap=True)
        for number in part:
            label = Text(table.columns[number].label)
            shown.add_column(label, justify="right", width=needed[number])
        for row in rows:
            if row.cells:
                cells = (_marked(row, number) for number in part)
                shown.add_row(Text(" " * _INDENT + row.title), *cells)
            else:
                shown.add_row(Text(row.title, style="bold"))
        yield shown


def _beside(needed: Sequence[int], width: int) -> Iterator[list[int]]:
    """The columns' numbers in runs that fit beside each other, one at least in each."""
    part: list[int] = []
    for number, column in enumerate(needed):
        if part and sum(needed[n] + _GAP for n in part) + column + _GAP > width:
            yield part
            part = []
        part.append(number)
    if part:
        yield part


def _needed(label: str, number: int, rows: Sequence[Row]) -> int:
    """Characters of a column: its cells, and the words of its label, which may be in lines."""
    cells = [sum(map(len, row.cells[number])) for row in rows if row.cells]
    return max([*cells, *map(len, label.split()), min(len(label), _LABEL)])


def _marked(row: Row, number: int) -> Text:
    value, error = row.cells[number]
    return Text.assemble((value, "bold" if number in row.best else ""), (error, "dim"))


def to_markdown(table: StageTable) -> str:
    """For a document: one table, its headings in bold."""
    lines = [["", *(column.label for column in table.columns)]]
    lines.append(["---", *("---:" for _ in table.columns)])
    for row in table.rows():
        if not row.cells:
            lines.append([f"**{row.title}**", *("" for _ in table.columns)])
            continue
        cells = [value + error for value, error in row.cells]
        for number in row.best:
            cells[number] = f"**{cells[number]}**"
        lines.append([row.title, *cells])
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def to_html(table: StageTable) -> str:
    """A ``<table class="stages">`` for the report; nothing in it is markup but ours."""
    head = "".join(f"<th>{escape(column.label)}</th>" for column in table.columns)
    body = []
    for row in table.rows():
        if not row.cells:
            width = len(table.columns) + 1
            body.append(f'<tr class="heading"><th colspan="{width}">{escape(row.title)}</th></tr>')
            continue
        cells = "".join(
            f"<td{' class=best' * (number in row.best)}>{escape(value)}"
            f'<span class="error">{escape(error)}</span></td>'
            for number, (value, error) in enumerate(row.cells)
        )
        body.append(f"<tr><th>{escape(row.title)}</th>{cells}</tr>")
    lines = "\n".join(body)
    return (
        f'<table class="stages">\n<thead><tr><th></th>{head}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody>\n</table>"
    )


def _texts(cell: Cell | None, factor: float, decimals: int) -> tuple[str, str]:
    if cell is None:
        return "-", ""
    error = "" if cell.stderr is None else f" ± {cell.stderr * factor:.{decimals}f}"
    return f"{cell.value * factor:z,.{decimals}f}", error


def _best(cells: Sequence[Cell | None], texts: Sequence[tuple[str, str]]) -> Collection[int]:
    """The columns that show the highest value; none where all show the same."""
    there = {number: cell.value for number, cell in enumerate(cells) if cell}
    if not there:
        return ()
    shown = texts[max(there, key=there.__getitem__)][0]
    best = [number for number in there if texts[number][0] == shown]
    return best if len(best) < len(there) else ()


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
