"""Judgements that are cheap together: collected while others are sampled, made when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ponder.types import Judgement, Problem

Item = tuple[Problem, str]
"""A problem and the text of a completion."""

JudgeMany = Callable[[Sequence[Item]], list[Judgement]]


class Deferred:
    """A judgement to come; ``result`` is that of a future."""

    def __init__(self, batch: DeferredBatch) -> None:
        self._batch = batch
        self.judgement: Judgement | None = None

    def result(self) -> Judgement:
        """The judgement; the first to be asked for has the whole batch judged."""
        if self.judgement is None:
            self._batch.flush()
        assert self.judgement is not None
        return self.judgement


class DeferredBatch:
    """Collects items and judges them together, as a pool does one by one.

    Args:
        judge_many: one judgement per item, in order.
        most: judge as soon as so many wait.
    """

    def __init__(self, judge_many: JudgeMany, most: int = 1024) -> None:
        self._judge_many = judge_many
        self._most = most
        self._waiting: list[tuple[Item, Deferred]] = []

    def submit(self, problem: Problem, completion_text: str) -> Deferred:
        deferred = Deferred(self)
        self._waiting.append(((problem, completion_text), deferred))
        if len(self._waiting) >= self._most:
            self.flush()
        return deferred

    def flush(self) -> None:
        """Judge what waits. If that fails, it still waits."""
        waiting = list(self._waiting)
        judgements = self._judge_many([item for item, _ in waiting])
        for (_, deferred), judgement in zip(waiting, judgements, strict=True):
            deferred.judgement = judgement
        del self._waiting[: len(waiting)]
