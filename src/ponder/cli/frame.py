"""One frame of the live view: a run on a screen of any size."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ponder.cli.console import clock_time, shown, styled
from ponder.cli.figures import figure_rows
from ponder.cli.watch import ShownSample, Watch
from ponder.train.observer import RunInfo

PHASES = {
    "evaluate": "measuring on held-out problems",
    "rollout": "sampling completions",
    "update": "updating the policy",
    "checkpoint": "writing a checkpoint",
}
_MARGIN = 1
_MIN_SAMPLE_LINES = 3
_MAX_ALARMS = 2
_MAX_NOTES = 2
_ALARM_LINES = 2
_WRAP_LOSS = 8
"""Cells that wrapping at words may leave empty at the end of a line."""
_NAMES_AND_VALUES = 38


class Frame:
    """Draws a ``Watch``; never taller than the screen, however long the completion is."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        used = 0
        parts = (self._head, self._notes, self._figures, self._alarms)
        for part in (item for draw in parts for item in draw(width)):
            used += len(console.render_lines(part, options))
            yield part
        room = console.size.height - _MARGIN - used
        if self.watch.sample is not None:
            yield from _sample(self.watch.sample, console, width, room)

    def _head(self, width: int) -> Iterator[RenderableType]:
        info = self.watch.info
        if info is None:
            yield Text("loading the model and the problems ...", style="bold")
            return
        size = f"{info.num_parameters / 1e6:,.1f}M parameters, {info.device}"
        yield _cut(Text.assemble((info.name, "bold"), f"  {info.model} ({size})"), width)
        yield self._bar(info)
        yield _cut(Text(self._doing(), style="dim"), width)

    def _bar(self, info: RunInfo) -> Table:
        watch = self.watch
        eta = "-" if watch.eta is None else clock_time(watch.eta)
        times = clock_time(watch.elapsed) + ("" if watch.summary else f"  ETA {eta}")
        bar = Table.grid(padding=(0, 2), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        bar.add_row(
            ProgressBar(total=info.steps, completed=watch.num_done),
            Text(f"{watch.num_done}/{info.steps} steps  {times}"),
        )
        return bar

    def _doing(self) -> str:
        watch = self.watch
        if watch.summary is not None:
            return "finished" if watch.summary.finished else "stopped"
        doing = PHASES[watch.phase] if watch.phase else "starting"
        if watch.stopping:
            return f"{doing}; stopping after this step (Ctrl-C again quits at once)"
        return doing

    def _notes(self, width: int) -> Iterator[RenderableType]:
        for note in self.watch.info.notes[:_MAX_NOTES] if self.watch.info else ():
            text = f"note: {' '.join(shown(note).split())}"
            yield _cut(Text(text, style="yellow"), _ALARM_LINES * (width - _WRAP_LOSS))

    def _figures(self, width: int) -> Iterator[RenderableType]:
        rows = list(figure_rows(self.watch, max(8, width - _NAMES_AND_VALUES)))
        if not rows:
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(style="cyan", no_wrap=True, overflow="ellipsis")
        for row in rows:
            grid.add_row(*map(Text, row))
        yield Text("")
        yield grid

    def _alarms(self, width: int) -> Iterator[RenderableType]:
        for alarm in self.watch.alarms[-_MAX_ALARMS:]:
            text = f"alarm: {' '.join(shown(alarm).split())}"
            yield _cut(Text(text, style="bold red"), _ALARM_LINES * (width - _WRAP_LOSS))


def _sample(
    sample: ShownSample, console: Console, width: int, room: int
) -> Iterator[RenderableType]:
    """A title, the question and the completion, its middle left out where it is too long."""
    rollout = sample.rollout
    reward = "none" if rollout.reward is None else f"{rollout.reward:g}"
    title = f"step {sample.step}, first problem, first completion: "
    title += f"{rollout.judgement.verdict}, reward {reward}, {rollout.num_tokens} tokens"
    question = _cut(Text(" ".join(shown(sample.question).split()), style="italic"), width)
    body = list(styled(rollout.completion.text).wrap(console, width))
    room -= 3
    if room < _MIN_SAMPLE_LINES:
        return
    yield Text("")
    yield _cut(Text(f"── {title} ".ljust(width, "─"), style="dim"), width)
    yield question
    if len(body) > room:
        tail = (room - 1) // 2
        left_out = Text(f"... {len(body) - room + 1} lines ...", style="dim italic")
        body = [*body[: room - 1 - tail], left_out, *body[len(body) - tail :]]
    yield from body


def _cut(text: Text, width: int) -> Text:
    """At most ``width`` cells of a text without line breaks."""
    text.truncate(width, overflow="ellipsis")
    return text
