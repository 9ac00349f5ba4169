"""RUN/report.html of a pipeline: one page that opens from a file, without a server or network."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

import ponder
from ponder.config.benchmarks import BenchmarksConfig
from ponder.pipeline.graph import Graph, Stage
from ponder.pipeline.report.cards import cards_html
from ponder.pipeline.report.charts import curve_figures, table_charts
from ponder.pipeline.report.data import PipelineData, load_pipeline_data
from ponder.pipeline.report.drawing import graph_svg
from ponder.pipeline.store import PipelineFolder
from ponder.pipeline.table import Cell, StageTable, to_html
from ponder.pipeline.words import size_text, time_text
from ponder.report.header import config_html
from ponder.report.html import write_report
from ponder.report.page import asset, fill_page, joined_scripts
from ponder.runlog import RunFolder
from ponder.runlog.durable import write_atomic

CURVES = {
    "rollout/pass_rate": "correct, share of rollouts",
    "rollout/mean_tokens": "tokens of a completion",
    "language/consistency": "words in the language asked in, share",
    "text/reflective_words_per_completion": "reflective words of a completion",
    "preference/helpful_mean": "helpful reward, of the reward model",
    "preference/safety_mean": "safety reward, of the reward model",
}
"""What is drawn of every stage of reinforcement learning, by metric."""


def write_pipeline_report(run: PipelineFolder, graph: Graph) -> Path:
    """Write RUN/report.html from the folder as it is now, and return its path.

    Works while the pipeline goes on and where nothing is done yet. Stages that train get reports of
    their own, as `ponder train` writes them, when they are done.
    """
    data = load_pipeline_data(run, graph)
    for standing in data.standings.values():
        folder = RunFolder(standing.folder.path)
        is_run = folder.config_path.is_file() and folder.metrics_path.is_file()
        if standing.is_done and is_run and not folder.report_path.is_file():
            write_report(folder.path)
    page = render(data)
    path = run.path / "report.html"
    write_atomic(path, page.encode("utf-8", "replace"))
    return path


def render(data: PipelineData) -> str:
    """The page as text."""
    slots = {
        "title": escape(data.graph.name),
        "lead": _lead(data),
        "facts": "".join(
            f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>"
            for term, text in _facts(data)
        ),
        "graph": graph_svg(data),
        "tables": "".join(
            _table_section(title, table, data) for title, table in data.tables.items()
        )
        or "<p class='note'>Nothing has been measured yet.</p>",
        "stages": _stages(data),
        "cards": cards_html(data.cards),
        "config": config_html(data.toml),
        "version": escape(ponder.__version__),
    }
    script = joined_scripts(("theme.js", "pipeline.js"))
    style = f"{asset('style.css')}\n{asset('pipeline.css')}"
    return fill_page("pipeline.html", slots, script, style)


def _lead(data: PipelineData) -> str:
    """What the last column of the first table is, against its first."""
    for table in data.tables.values():
        name = table.benchmarks[0]
        cells = [(c.label, c.cells.get(("accuracy", name))) for c in table.columns]
        known = [(label, cell) for label, cell in cells if cell is not None]
        if len(known) < 2:
            return ""
        (first, before), (last, after) = known[0], known[-1]
        return (
            f"<p class='lead'>Of {escape(name)}, {escape(first)} has <b>{_percent(before)}</b> "
            f"right and {escape(last)} <b>{_percent(after)}</b>.</p>"
        )
    return ""


def _percent(cell: Cell) -> str:
    error = "" if cell.stderr is None else f" ± {100 * cell.stderr:.1f}"
    return f"{100 * cell.value:.1f}{error} %"


def _facts(data: PipelineData) -> Iterator[tuple[str, str]]:
    done = sum(standing.is_done for standing in data.standings.values())
    yield "stages", f"{done} of {len(data.standings)} done"
    yield "time", time_text(data.seconds)
    yield "on the disk", size_text(data.bytes)
    if data.started is not None:
        yield "started", data.started.strftime("%Y-%m-%d %H:%M")
    yield "folder", str(data.folder.path)


def _table_section(title: str, table: StageTable, data: PipelineData) -> str:
    curves = {
        name: data.curves[name]
        for column in table.columns
        if column.stage in data.graph.stages
        for name in data.graph.stages[column.stage].needs
        if name in data.curves
    }
    drawn = curve_figures(curves, CURVES)
    learning = f"<h4>While they learnt, by step</h4>{drawn}" if drawn else ""
    return (
        f"<section class='comparison'><h2>{escape(title)}</h2>"
        f"<div class='wide'>{to_html(table)}</div>"
        f"<p class='note'>± is the standard error over problems.{_samples(table, data)}</p>"
        f"<h4>By stage</h4>{table_charts(table)}{learning}</section>"
    )


def _samples(table: StageTable, data: PipelineData) -> str:
    """How the first column was sampled, and those that were sampled otherwise."""
    columns: dict[str, list[str]] = {}
    for column in table.columns:
        if column.stage in data.graph.stages:
            columns.setdefault(_sampled(data.graph.stages[column.stage]), []).append(column.label)
    if not columns:
        return ""
    (usual, _), *others = columns.items()
    return f" {usual}." + "".join(f" {escape(', '.join(who))}: {how}." for how, who in others)


def _sampled(stage: Stage) -> str:
    config = stage.config
    assert isinstance(config, BenchmarksConfig)
    return (
        f"Up to {config.num_problems} held-out problems of each benchmark, {config.k} "
        f"sample{'s' * (config.k > 1)} each at temperature {config.temperature:g}, "
        f"top-p {config.top_p:g}"
    )


def _stages(data: PipelineData) -> str:
    rows = []
    for stage in data.graph:
        standing = data.standings[stage.name]
        link = data.report_of(stage.name)
        name = escape(stage.name)
        if link is not None:
            name = f"<a href='{escape(link, quote=True)}'>{name}</a>"
        done = standing.folder.done() or {}
        memory = done.get("memory")
        tone = "good" if standing.is_done else "open"
        cells = (
            escape(stage.kind_name),
            f"<span class='{tone}'>{escape(standing.state)}</span>",
            escape(time_text(standing.seconds)),
            escape(size_text(standing.bytes)),
            escape(size_text(memory)),
        )
        about = escape(stage.about)
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f"<tr><th scope='row'>{name}</th>{row}<td class='about'>{about}</td></tr>")
    head = "".join(
        f"<th>{text}</th>"
        for text in ("stage", "kind", "state", "time", "size", "peak memory", "what it does")
    )
    body = "".join(rows)
    return f"<table class='list'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
