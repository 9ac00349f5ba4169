"""Ctrl-C: the first finishes the step, the second quits at once."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Protocol


class Stoppable(Protocol):
    """What is told of the wish, and remembers it."""

    stopping: bool

    def on_stop(self) -> None:
        """The person asked for the end."""


class StopOnSignal:
    """A ``should_stop`` that is True after SIGINT or SIGTERM; a second signal is KeyboardInterrupt.

    The handlers of before are put back at the end of the context.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, watch: Stoppable) -> None:
        self._watch = watch
        self._before = {number: signal.getsignal(number) for number in self._SIGNALS}

    def __call__(self) -> bool:
        """Whether to stop after the step."""
        return self._watch.stopping

    def __enter__(self) -> StopOnSignal:
        for number in self._SIGNALS:
            signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._watch.stopping:
            raise KeyboardInterrupt
        self._watch.on_stop()
