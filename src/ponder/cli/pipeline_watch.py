"""The view of a pipeline in progress: one line a stage, the stage's own view under it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ponder.cli.console import clock_time, shown
from ponder.cli.live import watching
from ponder.cli.watch import Watch
from ponder.pipeline.status import Standing
from ponder.pipeline.words import size_text
from ponder.train.observer import RunObserver


def time_text(seconds: float | None) -> str:
    """Seconds as ``0:12``; "-" where unknown."""
    return "-" if seconds is None else clock_time(seconds)


class PipelineWatch:
    """A PipelineView on a console, which also hears Ctrl-C."""

    def __init__(self, out: Console, names: Sequence[str] = ()) -> None:
        """``names`` are those of the stages: lines are aligned by the longest."""
        self.stopping = False
        self._out = out
        self._width = max(map(len, names), default=10)
        self._watch: Watch | None = None
        self._bar: Progress | None = None

    def on_skip(self, standing: Standing) -> None:
        """One line."""
        self._say(standing, "done before", time_text(standing.seconds), size_text(standing.bytes))

    def on_start(self, standing: Standing, number: int, total: int) -> None:
        """One line: what runs, and why."""
        stage = standing.stage
        about = stage.about
        why = "" if standing.state == "new" else f"({standing.why})"
        self._say(standing, f"{number:>2} of {total}", about, why)

    def on_done(self, standing: Standing) -> None:
        """One line."""
        self.close()
        self._say(standing, "done", time_text(standing.seconds), size_text(standing.bytes))

    def training(
        self, earlier_rows: Sequence[Mapping[str, float]]
    ) -> AbstractContextManager[RunObserver]:
        """The view of `ponder train`."""
        return self._training(earlier_rows)

    @contextmanager
    def _training(self, earlier_rows: Sequence[Mapping[str, float]]) -> Iterator[RunObserver]:
        with watching(self._out, transient=True) as watch:
            watch.earlier_rows = earlier_rows
            watch.stopping = self.stopping
            self._watch = watch
            try:
                yield watch
            finally:
                self._watch = None

    def progress(self, done: int, total: int, text: str) -> None:
        """A bar on a terminal, a line elsewhere."""
        text = " ".join(shown(text).split())
        if not self._out.is_terminal:
            self._out.out(f"  {done}/{total}  {text}", highlight=False)
            self._out.file.flush()
            return
        if self._bar is None:
            columns = (
                TextColumn("  {task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._out, transient=True)
            self._bar.add_task(text, total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=text)

    def note(self, text: str) -> None:
        """One line."""
        self._hanging(Text("  note: ", "yellow"), Text(" ".join(shown(text).split()), "yellow"))

    def on_stop(self) -> None:
        """The person asked for the end."""
        self.stopping = True
        if self._watch is not None:
            self._watch.on_stop()
        else:
            self._out.print("stopping as soon as all is on the disk (Ctrl-C again quits at once)")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, standing: Standing, *parts: str) -> None:
        stage = standing.stage
        head = (f"{stage.name:<{self._width}}  ", "bold"), f"{stage.kind_name:<12}  "
        self._hanging(Text.assemble(*head), Text("  ".join(filter(None, parts))))
        self._out.file.flush()

    def _hanging(self, head: Text, rest: Text) -> None:
        """On a terminal what is too long goes on under ``rest``; elsewhere it stays one line."""
        if not self._out.is_terminal:
            self._out.print(head + rest, soft_wrap=True)
            return
        grid = Table.grid()
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(head, rest)
        self._out.print(grid)
