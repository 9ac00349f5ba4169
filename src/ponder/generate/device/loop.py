"""The loop of one call: the scheduler decides on the host, the device computes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ponder.generate.batch import Sequence
from ponder.generate.device.attention import PrefillPass
from ponder.generate.device.cache import KvCache
from ponder.generate.device.host import to_device
from ponder.generate.device.scheduler import PREFILL_TOKENS, Scheduler, Span
from ponder.generate.device.slots import CHUNK_STEPS, Sent, Slots
from ponder.generate.device.step import DecodeStep, Graphs
from ponder.generate.ending import Ending
from ponder.generate.pages import PAGE_TOKENS, SharedPrefix
from ponder.generate.run import GenerateStats, num_common
from ponder.types import Prompt, Sampling

FEWEST_AHEAD = 8
"""Rows that are worth starting steps for before those ahead of them are read."""


@dataclass(frozen=True, slots=True)
class Device:
    """What computes: the model in engine mode, its cache, the slots, and a step with its graphs."""

    model: Any
    cache: KvCache
    slots: Slots
    step: DecodeStep
    graphs: Graphs | None


@dataclass(frozen=True, slots=True)
class Steps:
    """Some steps that the device has been given: of which rows, how many, and what they bring."""

    rows: list[Sequence]
    count: int
    graph: torch.cuda.CUDAGraph | None
    sent: Sent


class Loop:
    """Prompts are prefilled and sequences decoded, some steps at a time, until all are over.

    Args:
        on_finished: is given sequences that are over, each once, while the device is busy.
    """

    def __init__(
        self,
        device: Device,
        scheduler: Scheduler,
        sampling: Sampling,
        ending: Ending,
        on_finished: Callable[[list[Sequence]], None],
    ) -> None:
        self._device = device
        self._scheduler = scheduler
        self._sampling = sampling
        self._ending = ending
        self._on_finished = on_finished
        self._rows: list[Sequence] = []  # those in the slots
        self.stats = GenerateStats()

    def run(self, prompts: list[Prompt], groups: list[list[Sequence]]) -> GenerateStats:
        start = time.perf_counter()
        self._share_prefix(prompts, groups)
        scheduler = self._scheduler
        scheduler.waiting.extend(row for group in groups for row in group)
        over: list[Sequence] = []
        steps: Steps | None = None
        while scheduler.has_work:
            steps = steps or self._launch()
            following = self._launch_again(steps) if steps else None
            # All that follows happens on the host while the device is busy with the steps.
            scheduler.admit()
            self._prefill(scheduler.spans())
            self._hand_on(over)
            over = self._collect(steps) if steps else []
            scheduler.finish(over)
            scheduler.start_loaded()
            steps = following
        self._hand_on(over)
        self.stats.decode_seconds = time.perf_counter() - start - self.stats.prefill_seconds
        self.stats.num_completions = sum(len(group) for group in groups)
        self.stats.num_tokens = sum(len(row.token_ids) for group in groups for row in group)
        self.stats.num_preempted = scheduler.num_preempted
        return self.stats

    def _launch(self) -> Steps | None:
        """Bring the slots up to date and start some steps, if anyone runs."""
        grown = self._scheduler.reserve()
        rows, slots, before = self._scheduler.running, self._device.slots, self._rows
        if not rows:
            return None
        graph = None
        if self._device.graphs is not None:
            graph = self._device.graphs.prepare(len(rows), self._sampling)
        places = {id(row): place for place, row in enumerate(before)}
        rows.sort(key=lambda row: places.get(id(row), len(before)))  # stable: new ones to the end
        kept = [places[id(row)] for row in rows if id(row) in places]
        is_new = len(kept) != len(before) or len(rows) != len(before)
        if is_new:
            slots.arrange(rows, kept)
        for place, row in enumerate(rows):
            if id(row) in grown:
                slots.set_pages(place, row)
        if is_new or grown or self._captured():
            slots.upload()
        self._rows = list(rows)
        count = min(CHUNK_STEPS, max(row.limit - len(row.token_ids) for row in rows))
        if self._scheduler.waiting:
            count = min(count, CHUNK_STEPS // 2)
        return self._start(count, graph)

    def _launch_again(self, steps: Steps) -> Steps | None:
        """More steps of the same rows behind ``steps``, which are not collected yet, so that the
        device goes on while the host reads. Not where few rows are worth little reading and might
        all be over by then, nor where those that are left are worth a smaller batch."""
        left = [row.limit - len(row.token_ids) - steps.count for row in self._scheduler.running]
        num_left = sum(count > 0 for count in left)
        if num_left < FEWEST_AHEAD or not self._scheduler.is_settled:
            return None
        if self._computed(num_left) < self._computed(len(self._rows)):
            return None
        return self._start(min(CHUNK_STEPS, max(left)), steps.graph)

    def _start(self, count: int, graph: torch.cuda.CUDAGraph | None) -> Steps:
        slots = self._device.slots
        slots.begin_chunk()
        for _ in range(count):
            if graph is not None:
                graph.replay()
            else:
                self._device.step.run_once(len(self._rows), self._sampling)
        self.stats.num_steps += count
        return Steps(self._rows, count, graph, slots.send(count))

    def _computed(self, num_rows: int) -> int:
        """Rows that a step computes for ``num_rows``."""
        graphs = self._device.graphs
        return num_rows if graphs is None else graphs.bucket(num_rows)

    def _captured(self) -> bool:
        """Whether a graph was captured just now, which leaves the slots inactive."""
        return self._device.graphs is not None and self._device.graphs.captured_now()

    def _collect(self, steps: Steps) -> list[Sequence]:
        """Wait for the steps; write the tokens down; returns those that are over now."""
        chunk = self._device.slots.receive(steps.sent)
        over = []
        for place, row in enumerate(steps.rows):
            if row.finish_reason is not None:
                continue
            start, count = len(row.token_ids), chunk.counts[place]
            row.token_ids += chunk.tokens[place][:count]
            row.logprobs += chunk.logprobs[place][:count]
            if chunk.suspect[place]:
                self._cut_at_stop(row, start)
            if row.finish_reason is None and chunk.finished[place]:
                row.finish_reason = self._ending.reason(row.token_ids, row.limit)
            if row.finish_reason is not None:
                over.append(row)
        return over

    def _cut_at_stop(self, row: Sequence, start: int) -> None:
        """Find the first place at which a stop string ended the row, if one did."""
        for end in range(start + 1, len(row.token_ids) + 1):
            if row.token_ids[end - 1] not in self._ending.completing_tokens:
                continue
            if self._ending.reason(row.token_ids[:end], row.limit) == "stop":
                row.finish_reason = "stop"
                del row.token_ids[end:], row.logprobs[end:]
                return

    def _hand_on(self, over: list[Sequence]) -> None:
        """Tell of finished sequences, while the device is busy with the others."""
        if over:
            self._on_finished(over)

    def _share_prefix(self, prompts: list[Prompt], groups: list[list[Sequence]]) -> None:
        """Compute the whole pages that all prompts begin with, once."""
        common = num_common([prompt.token_ids[:-1] for prompt in prompts])
        num_pages = common // PAGE_TOKENS if len(prompts) > 1 else 0
        prefix = SharedPrefix()
        if num_pages:
            prefix.pages = self._scheduler.free.take(num_pages)
            tokens = list(prompts[0].token_ids[: num_pages * PAGE_TOKENS])
            rows = cache_rows(prefix.pages, len(tokens))
            for first in range(0, len(tokens), PREFILL_TOKENS):
                end = first + PREFILL_TOKENS
                self._prefill([Span(tokens[first:end], rows[first:end], rows[:end])])
        for group in groups:
            for row in group:
                row.group.prefix = prefix

    def _prefill(self, spans: list[Span]) -> None:
        if not spans:
            return
        start = time.perf_counter()
        ids = [token for span in spans for token in span.token_ids]
        ends = [np.arange(len(s.read_rows) - len(s.token_ids), len(s.read_rows)) for s in spans]
        engine_pass = PrefillPass(
            self._device.cache,
            self._tensor(np.concatenate([span.write_rows for span in spans])),
            self._tensor(np.concatenate([span.read_rows for span in spans])),
            [len(span.token_ids) for span in spans],
            [len(span.read_rows) for span in spans],
        )
        self._device.model.base_model(
            input_ids=self._tensor(np.asarray([ids])),
            position_ids=self._tensor(np.concatenate(ends)[None]),
            use_cache=False,
            engine_pass=engine_pass,
        )
        self.stats.prefill_tokens += len(ids)
        self.stats.prefill_seconds += time.perf_counter() - start

    def _tensor(self, array: NDArray[np.int64]) -> torch.Tensor:
        return to_device(array, self._device.slots.step.device)


def cache_rows(pages: list[int], count: int) -> NDArray[np.int64]:
    """The cache rows of the first ``count`` tokens in ``pages``."""
    columns = np.arange(count)
    rows: NDArray[np.int64] = np.asarray(pages, np.int64)[columns // PAGE_TOKENS] * PAGE_TOKENS
    return rows + columns % PAGE_TOKENS
