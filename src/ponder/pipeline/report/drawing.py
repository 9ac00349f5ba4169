"""The graph as SVG text: each stage below those that it reads from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ponder.pipeline.graph import Graph, Stage
from ponder.pipeline.report.data import PipelineData
from ponder.pipeline.words import size_text, time_text

_W, _H, _GAP_X, _GAP_Y, _MARGIN = 172, 58, 22, 34, 8
_TONES = {"done": "green", "failed": "red", "damaged": "red"}


def graph_svg(data: PipelineData) -> str:
    """All stages but evaluations, which stand as figures in the stage whose model they measure."""
    shown = [stage for stage in data.graph if stage.kind_name != "eval"]
    rows = layers(data.graph, [stage.name for stage in shown])
    width = max(len(row) for row in rows) * (_W + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = len(rows) * (_H + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    places = _places(rows, width)
    edges = "".join(
        _edge(places[need], places[stage.name])
        for stage in shown
        for need in stage.needs
        if need in places
    )
    nodes = "".join(_node(stage, data, *places[stage.name]) for stage in shown)
    return (
        f"<svg class='graph' width='{width}' height='{height}' viewBox='0 0 {width} {height}' "
        f"role='img' aria-label='The stages and what each reads'>{edges}{nodes}</svg>"
    )


def layers(graph: Graph, names: Sequence[str]) -> list[list[str]]:
    """Names in rows, each below all that it needs, near the middle of those."""
    needs = {name: [n for n in graph.stages[name].needs if n in names] for name in names}
    depth: dict[str, int] = {}
    for name in names:
        depth[name] = 1 + max((depth[need] for need in needs[name]), default=-1)
    for name in reversed(names):  # what needs nothing stands right above what reads it
        readers = [depth[other] for other in names if name in needs[other]]
        if readers and not needs[name]:
            depth[name] = min(readers) - 1
    rows: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    for name in names:
        rows[depth[name]].append(name)
    at: dict[str, float] = {}
    for row in rows:
        row.sort(key=lambda name: _middle(needs[name], at))
        for place, name in enumerate(row):
            at[name] = place - (len(row) - 1) / 2
    return rows


def _middle(needs: Sequence[str], at: Mapping[str, float]) -> float:
    known = [at[need] for need in needs if need in at]
    return sum(known) / len(known) if known else 0.0


def _places(rows: Sequence[Sequence[str]], width: float) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for depth, row in enumerate(rows):
        left = (width - len(row) * (_W + _GAP_X) + _GAP_X) / 2
        for place, name in enumerate(row):
            found[name] = (left + place * (_W + _GAP_X), _MARGIN + depth * (_H + _GAP_Y))
    return found


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + _W / 2, start[1] + _H
    x2, y2 = end[0] + _W / 2, end[1]
    bend = max(16.0, (y2 - y1) / 2)
    return (
        f"<path class='edge' d='M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} "
        f"{x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}'/>"
    )


def _node(stage: Stage, data: PipelineData, x: float, y: float) -> str:
    standing = data.standings[stage.name]
    tone = _TONES.get(standing.state, "gold")
    spent = f"{time_text(standing.seconds)}  {size_text(standing.bytes)}"
    second = spent if standing.is_done else standing.state
    figure = _accuracy(stage, data)
    about = f"{stage.name}: {stage.about} ({standing.state})"
    body = (
        f"<title>{escape(about)}</title>"
        f"<rect class='node' x='{x:.0f}' y='{y:.0f}' width='{_W}' height='{_H}' rx='6'/>"
        f"<rect class='state' x='{x:.0f}' y='{y:.0f}' width='4' height='{_H}' rx='2'/>"
        f"<text class='name' x='{x + 14:.0f}' y='{y + 19:.0f}'>{escape(stage.name)}</text>"
        f"<text class='kind' x='{x + 14:.0f}' y='{y + 34:.0f}'>{escape(stage.kind_name)}</text>"
        f"<text class='spent' x='{x + 14:.0f}' y='{y + 49:.0f}'>{escape(second)}</text>"
        f"<text class='figure' text-anchor='end' x='{x + _W - 10:.0f}' y='{y + 21:.0f}'>"
        f"{escape(figure)}</text>"
    )
    link = data.report_of(stage.name)
    if link is not None:
        body = f"<a href='{escape(link, quote=True)}'>{body}</a>"
    return f"<g class='{tone}'>{body}</g>"


def _accuracy(stage: Stage, data: PipelineData) -> str:
    """The first benchmark of the stage's model, where it has been measured."""
    measured = {other.name for other in data.measured(stage.name)}
    for table in data.tables.values():
        for column in table.columns:
            if column.stage in measured:
                cell = column.cells.get(("accuracy", table.benchmarks[0]))
                return f"{100 * cell.value:.0f} %" if cell else ""
    return ""
