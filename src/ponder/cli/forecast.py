"""The table of `ponder pipeline run --dry-run`, as wide as the terminal is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ponder.cli.pace_lines import pace_lines
from ponder.cli.pipeline_watch import time_text
from ponder.pipeline.estimate import Forecast
from ponder.pipeline.graph import Stage
from ponder.pipeline.paces import MeasuredPaces
from ponder.pipeline.words import size_text

_PLAIN = ("done", "new")
"""States that need no reason."""
_WIDE, _MIDDLE = 150, 100
"""Columns of a terminal from which on all is told, and all but what a stage does."""


def print_forecast(
    stages: Sequence[Forecast], total: int, paces: MeasuredPaces | None, out: Console
) -> None:
    """A line a stage, what is left to do, and where the figures are from.

    ``total``: stages of the whole pipeline. ``paces``: what was measured; None: nothing was.
    """
    out.print(_table(stages, out.width))
    out.print()
    if out.width < _WIDE:
        for item in stages:
            if item.standing.state not in _PLAIN:
                out.print(Text(f"{item.standing.stage.name}: {item.standing.why}"))
    lines = total_lines(stages, total)
    out.print(Text(lines[0], style="bold"))
    about = [*lines[1:], *pace_lines(paces)] if len(lines) > 1 else []
    for line in about:
        out.print(Text(line, style="dim"))


def _table(stages: Sequence[Forecast], width: int) -> Table:
    """Columns by what there is room for: kind, what a stage does, its state."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    has_news = any(item.standing.state != "new" for item in stages)
    table.add_column("stage", no_wrap=True)
    if width >= _MIDDLE:
        table.add_column("kind", no_wrap=True)
    table.add_column("reads", overflow="fold", ratio=None)
    for name in ("rows", "disk", "memory", "time", "at most"):
        table.add_column(name, justify="right", no_wrap=True)
    if width >= _WIDE:
        table.add_column("what it does", overflow="fold")
    if has_news or width >= _WIDE:
        table.add_column("state", overflow="fold")
    for item in stages:
        table.add_row(*_cells(item, width, has_news or width >= _WIDE))
    return table


def _cells(item: Forecast, width: int, has_state: bool) -> list[Text]:
    stage, estimate = item.standing.stage, item.estimate
    state: str = item.standing.state
    mark = "" if item.measured or estimate.seconds is None else "~"
    most = estimate.most_seconds
    cells = [Text(stage.name, style="bold")]
    cells += [Text(stage.kind_name)] * (width >= _MIDDLE)
    cells += [Text(_inputs(stage)), Text("-" if estimate.rows is None else f"{estimate.rows:,}")]
    cells += [Text(size_text(estimate.bytes)), Text(size_text(estimate.memory))]
    cells += [Text(f"{mark}{time_text(estimate.seconds)}")]
    cells += [Text("" if most is None else time_text(most), style="dim")]
    if width >= _WIDE:
        cells.append(Text(item.about))
        state = state if state in _PLAIN else item.standing.why
    return [*cells, Text(state)] if has_state else cells


def total_lines(stages: Sequence[Forecast], total: int) -> list[str]:
    """What is left to do, all stages together (the pipeline has ``total``), and what marks mean."""
    left = [item for item in stages if not item.standing.is_done]
    if not left:
        return ["everything is done"]
    known = [item.estimate for item in left if item.estimate.seconds is not None]
    size = sum(item.estimate.bytes or 0 for item in left)
    memory = max((item.estimate.memory or 0 for item in left), default=0)
    spent = sum(estimate.seconds or 0.0 for estimate in known)
    time = time_text(spent) if known else "of unknown length"
    if any(estimate.most_seconds for estimate in known):
        time += f" (at most {time_text(sum(e.most_seconds or e.seconds or 0.0 for e in known))})"
    if known and len(known) < len(left):
        time += f", and {len(left) - len(known)} of unknown length"
    line = (
        f"to do: {len(left)} of {total} stages; time {time}; "
        f"disk {size_text(size)}; peak memory {size_text(memory)}"
    )
    told = "~ expected; without ~ it is what the stage took when it last ran"
    return [line, told]


def _inputs(stage: Stage) -> str:
    """The stages and files that it reads."""
    told = (ref.stage or str(ref.path) for refs in stage.inputs.values() for ref in refs)
    return ", ".join(dict.fromkeys(told)) or "-"
