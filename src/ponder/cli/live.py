"""The views of a run in progress: a live one on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from ponder.cli.console import shown
from ponder.cli.figures import percent, step_line
from ponder.cli.frame import Frame
from ponder.cli.watch import Watch
from ponder.evals.result import EvalResult
from ponder.train.observer import RunInfo
from ponder.types import Group

_FRAMES_PER_SECOND = 2


@contextmanager
def watching(out: Console, transient: bool = False) -> Iterator[Watch]:
    """A watch whose view is on ``out`` for as long as the context lasts.

    ``transient``: on a terminal the last frame goes when the context ends.
    """
    if not out.is_terminal:
        yield PlainWatch(out)
        return
    watch = Watch()
    with Live(
        Frame(watch),
        console=out,
        refresh_per_second=_FRAMES_PER_SECOND,
        vertical_overflow="crop",
        transient=transient,
    ):
        yield watch


class PlainWatch(Watch):
    """A watch that prints one plain line per event, for logs and pipes."""

    def __init__(self, out: Console) -> None:
        super().__init__()
        self._out = out

    def _print(self, line: str) -> None:
        self._out.out(line, highlight=False)
        self._out.file.flush()

    def on_start(self, info: RunInfo) -> None:
        """Say what is trained, and where, and what is odd about it."""
        super().on_start(info)
        self._print(
            f"{info.name}: {info.model}, {info.num_parameters / 1e6:,.1f}M parameters on "
            f"{info.device}, steps {info.first_step} to {info.steps}, {info.run_path}"
        )
        for note in info.notes:
            self._print(f"note: {shown(note)}")

    def on_step(self, step: int, metrics: Mapping[str, float], groups: Sequence[Group]) -> None:
        """One line per step."""
        super().on_step(step, metrics, groups)
        self._print(step_line(self))

    def on_eval(self, step: int, result: EvalResult) -> None:
        """One line per evaluation."""
        super().on_eval(step, result)
        self._print(
            f"held-out problems at step {step}: pass@1 {percent(result.pass_at_1, result.stderr)}"
            f"  tokens {result.mean_tokens:.1f}"
            f"  reflective {result.reflective_words_per_completion:.2f}"
        )

    def on_alarm(self, text: str) -> None:
        """One line per alarm."""
        super().on_alarm(text)
        self._print(f"alarm: {' '.join(text.split())}")

    def on_stop(self) -> None:
        """Say that the wish was heard."""
        super().on_stop()
        self._print("stopping after this step (Ctrl-C again quits at once)")
