"""Several runs of one pipeline side by side: means over the runs, and what runs differ by.

The errors of one run's table say how far other problems would move its figures; another seed moves
them further. Here the runs are what is sampled: a mean of their figures, and its standard error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ponder.config.pipeline import load_pipeline
from ponder.errors import PonderError
from ponder.evals.metrics import mean_and_stderr
from ponder.pipeline.graph import build_graph
from ponder.pipeline.stages import KINDS
from ponder.pipeline.store import PipelineFolder
from ponder.pipeline.table import Cell, Column, StageTable, made_tables, read_tables

Figures = Mapping[tuple[str, str], Sequence[float]]
"""By (measure, benchmark) a figure of each run, in the order of the runs."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs' folders, and their tables by title: every cell a mean over the runs.

    ``figures`` holds what the means are of, by the label of a column. ``changed`` are runs of which
    a table was made with other settings than the run's recipe has now, or by another version.
    """

    runs: Sequence[Path]
    tables: Mapping[str, StageTable]
    figures: Mapping[str, Figures]
    changed: Sequence[Path] = ()

    def difference(self, first: str, second: str) -> Column:
        """``first`` - ``second``, two labels: the mean over runs, each run against itself.

        Raises:
            PonderError: no column has that label.
        """
        ours, theirs = (self._figures_of(label) for label in (first, second))
        pairs = {
            at: [a - b for a, b in zip(ours[at], theirs[at], strict=True)]
            for at in ours
            if at in theirs
        }
        return Column(f"{first} - {second}", _cells(pairs))

    def _figures_of(self, label: str) -> Figures:
        if label not in self.figures:
            there = ", ".join(f'"{name}"' for name in self.figures)
            fix = f"no column of the tables; there are {there}"
            raise PonderError("--difference", label, fix)
        return self.figures[label]


def compare(paths: Sequence[Path]) -> Comparison:
    """The tables of pipelines that differ in their seeds, or in whatever is not a column.

    Raises:
        PonderError: a folder is no pipeline, its columns are not those of the first, or it is the
            same run again (the same settings give the same figures, and no error).
    """
    found = [_read(path) for path in paths]
    _check_columns(paths, [tables for tables, _, _ in found])
    _check_different(paths, [keys for _, keys, _ in found])
    tables, figures = {}, {}
    for title, first in found[0][0].items():
        columns = []
        for number, column in enumerate(first.columns):
            same = [one[title].columns[number] for one, _, _ in found]
            figures[column.label] = _figures(same)
            columns.append(Column(column.label, _cells(figures[column.label])))
        tables[title] = StageTable(columns)
    changed = [path for path, (_, _, is_old) in zip(paths, found, strict=True) if is_old]
    return Comparison(list(paths), tables, figures, changed)


def _read(path: Path) -> tuple[dict[str, StageTable], list[str], bool]:
    """The tables of a pipeline, the keys of the stages that made them, and whether one of these
    would be made again today."""
    folder = PipelineFolder.open(path)
    graph = build_graph(load_pipeline(folder.toml_path), KINDS)
    made = list(made_tables(graph, folder))
    if not made:
        raise PonderError("RUN", str(path), "no eval stage of it is done: it has no table yet")
    files = [file for file, _ in made]
    is_old = not all(is_now for _, is_now in made)
    return read_tables(files), [file.parent.name for file in files], is_old


def _figures(columns: Sequence[Column]) -> dict[tuple[str, str], list[float]]:
    """What all of the columns have."""
    return {
        at: [column.cells[at].value for column in columns]
        for at in columns[0].cells
        if all(at in column.cells for column in columns)
    }


def _cells(figures: Figures) -> dict[tuple[str, str], Cell]:
    cells = {}
    for at, values in figures.items():
        value, stderr = mean_and_stderr(values)
        cells[at] = Cell(value, stderr if len(values) > 1 else None)
    return cells


def _check_columns(paths: Sequence[Path], runs: Sequence[Mapping[str, StageTable]]) -> None:
    first = _labels(runs[0])
    for path, tables in zip(paths, runs, strict=True):
        labels = _labels(tables)
        if labels != first:
            odd = ", ".join(sorted({label for _, label in {*first} ^ {*labels}})) or "their order"
            fix = f"its columns are not those of {paths[0]} ({odd}); run what is not done in both"
            raise PonderError("RUN", str(path), fix)


def _labels(tables: Mapping[str, StageTable]) -> list[tuple[str, str]]:
    """(table, column) of every column, in their order."""
    return [(title, c.label) for title, table in tables.items() for c in table.columns]


def _check_different(paths: Sequence[Path], keys: Sequence[Sequence[str]]) -> None:
    for number, path in enumerate(paths):
        if keys[number] in keys[:number]:
            other = paths[list(keys).index(keys[number])]
            fix = f"the same run as {other}: leave it away, or give it another seed (common.seed=1)"
            raise PonderError("RUN", str(path), fix)
