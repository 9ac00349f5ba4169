"""What the report reads: where stages stand, their tables, curves and data cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ponder.pipeline.graph import Graph, Stage
from ponder.pipeline.status import Standing, pipeline_status
from ponder.pipeline.store import PipelineFolder
from ponder.pipeline.table import StageTable, read_tables, table_paths
from ponder.report.load import Series, collect_series
from ponder.runlog import read_json, read_metrics


@dataclass(frozen=True, slots=True)
class Card:
    """The data card of one file of rows of a stage."""

    stage: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PipelineData:
    """A pipeline's folder in memory. ``curves``: of the stages that train by reinforcement."""

    folder: PipelineFolder
    graph: Graph
    standings: Mapping[str, Standing]
    tables: Mapping[str, StageTable]
    curves: Mapping[str, Mapping[str, Series]]
    cards: Sequence[Card]
    toml: str

    @property
    def seconds(self) -> float:
        """Of all stages that are done."""
        return sum(s.seconds or 0.0 for s in self.standings.values() if s.is_done)

    @property
    def bytes(self) -> int:
        """Outputs on the disk."""
        return sum(s.bytes or 0 for s in self.standings.values())

    @property
    def started(self) -> datetime | None:
        """When its first stage began."""
        times = [e["time"] for e in self.folder.events() if "time" in e]
        return datetime.fromisoformat(times[0]) if times else None

    def report_of(self, name: str) -> str | None:
        """Where a stage's own report is, seen from the pipeline's folder; None if it has none."""
        path = self.standings[name].folder.path / "report.html"
        return path.relative_to(self.folder.path).as_posix() if path.is_file() else None

    def measured(self, stage: str) -> list[Stage]:
        """The eval stages of a stage's model."""
        return [other for other in self.graph if other.kind_name == "eval" and stage in other.needs]


def load_pipeline_data(run: PipelineFolder, graph: Graph) -> PipelineData:
    """Read everything. PonderError where a file is damaged."""
    standings = pipeline_status(graph, run, any_code=True)
    folders = {name: standing.folder.path for name, standing in standings.items()}
    return PipelineData(
        folder=run,
        graph=graph,
        standings=standings,
        tables=read_tables(table_paths(graph, run)),
        curves={
            stage.name: curves
            for stage in graph
            if stage.kind_name == "rl" and (curves := _curves(folders[stage.name]))
        },
        cards=[Card(name, facts) for name, path in folders.items() for facts in _cards(path)],
        toml=run.toml_path.read_text(encoding="utf-8"),
    )


def _curves(folder: Path) -> dict[str, Series]:
    path = folder / "metrics.jsonl"
    return collect_series(read_metrics(path)) if path.is_file() else {}


def _cards(folder: Path) -> list[dict[str, Any]]:
    """Of the rows that the stage wrote, and of those that a distillation learnt from."""
    paths = [*sorted(folder.glob("*card.json")), *sorted(folder.glob("data/*card.json"))]
    return [card for card in map(read_json, paths) if isinstance(card, dict)]
