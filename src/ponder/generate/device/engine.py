"""The device engine: what outlives a call of ``generate``, and the loop of one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ponder.config.rl import EngineConfig
from ponder.errors import PonderError
from ponder.generate.attention import engine_mode
from ponder.generate.batch import PromptPages, Sequence
from ponder.generate.device.attention import PrefillPass
from ponder.generate.device.cache import FreePages, KvCache
from ponder.generate.device.compiled import compiled_for_decode, join_weights
from ponder.generate.device.latent import watching_latents
from ponder.generate.device.probe import attention_modules, probe
from ponder.generate.device.scheduler import Scheduler, Span
from ponder.generate.device.slots import CHUNK_STEPS, Slots
from ponder.generate.device.step import DecodeStep, Graphs, Stops
from ponder.generate.ending import Ending
from ponder.generate.pages import PAGE_TOKENS, SharedPrefix, pages_for
from ponder.generate.run import GenerateStats, num_common, stream_groups
from ponder.types import Prompt, Sampling

KEPT_FREE = 3 * 2**30
"""Bytes of the GPU left to activations, logits and graphs when the cache takes what is free."""


_NO_LIMIT = 2**30
"""Steps to have pages for where there is room for all that anyone may need."""


class DeviceEngine:
    """Decodes with everything of a step on the device; one per model.

    Kept from call to call: the slots, compiled code and graphs. The cache's memory is taken at the
    start of a call and given back at its end.
    """

    def __init__(self, model: Any, max_rows: int, config: EngineConfig) -> None:
        self.model = model
        self._config = config
        self._max_rows = max_rows
        self._device = model.get_input_embeddings().weight.device
        if config.compile and self._device.type == "cuda":
            join_weights(model)
        facts = probe(model)
        pointers = torch.zeros(len(facts.layouts), 2, dtype=torch.int64, device=self._device)
        dtype = model.get_input_embeddings().weight.dtype
        self._cache = KvCache(facts.layouts, pointers, dtype)
        self._plain_head = facts.plain_head
        self._stops = Stops(model.get_output_embeddings().weight.shape[0], self._device)
        self._slots: Slots | None = None
        self._step: DecodeStep | None = None
        self._graphs: Graphs | None = None
        self._weights = _addresses(model)

    def fits(self, model: Any) -> bool:
        """Whether ``model`` is still the one, its weights where the graphs know them to be."""
        return model is self.model and self._weights == _addresses(model)

    def run(
        self,
        prompts: list[Prompt],
        limits: list[list[int]],
        sampling: Sampling,
        seed: int,
        ending: Ending,
        on_finished: Callable[[list[Sequence]], None],
    ) -> tuple[list[list[Sequence]], GenerateStats]:
        """Finished sequences for each prompt, as many as it has limits; and what it took."""
        groups = stream_groups(prompts, limits, seed)
        self._make_slots(prompts, limits)
        self._stops.set(ending.end_tokens, ending.completing_tokens)
        needed = _pages_needed(prompts, limits, self._max_rows)
        num_pages = min(needed, self._most_pages(prompts, limits))
        spare = 1 if num_pages < needed else 0
        with self._mode():
            self._cache.allocate(num_pages)
            try:
                run = _Run(self, FreePages(num_pages), spare, sampling, ending, on_finished)
                return groups, run.run(prompts, groups)
            finally:
                self._cache.release()

    @contextmanager
    def _mode(self) -> Iterator[None]:
        """The model attends through the engine, and each layer knows where its pages are."""
        modules = attention_modules(self.model, len(self._cache.layouts))
        with ExitStack() as stack:
            stack.enter_context(engine_mode(self.model))
            stack.enter_context(watching_latents(self.model))
            for module, pointers in zip(modules, self._cache.pointers, strict=True):
                module.register_buffer("ponder_pages", pointers, persistent=False)
                stack.callback(module._buffers.pop, "ponder_pages")
            yield

    def _make_slots(self, prompts: list[Prompt], limits: list[list[int]]) -> None:
        """Slots that are wide enough; graphs go with the old ones."""
        width = _pages_of_longest(prompts, limits)
        rows = min(self._max_rows, sum(len(group) for group in limits))
        old = self._slots
        if old is not None and old.width >= width and old.max_rows >= rows:
            return
        if old is not None:
            width, rows = max(width, old.width), max(rows, old.max_rows)
        self._graphs = None
        self._slots = Slots(rows, width, self._device)
        self._step = DecodeStep(self.model, self._cache, self._slots, self._stops, self._plain_head)
        if self._device.type == "cuda" and self._config.cuda_graphs:
            self._graphs = Graphs(self._step, self._slots, self._compiled)

    def _compiled(self) -> Any:
        return compiled_for_decode(self.model, self._config.compile)

    def _most_pages(self, prompts: list[Prompt], limits: list[list[int]]) -> int:
        """Pages that memory has room for."""
        room = self._room() // self._cache.page_bytes
        fewest = _pages_of_longest(prompts, limits)
        if room < fewest:
            raise PonderError(
                "engine.memory_gib",
                round(self._room() / 2**30, 2),
                f"the longest sequence alone needs {fewest * self._cache.page_bytes / 2**30:.2f} "
                "GiB of keys and values: free memory, or lower sampling.max_completion_tokens",
            )
        return room

    def _room(self) -> int:
        """Bytes that the cache may take."""
        if self._config.memory_gib:
            return int(self._config.memory_gib * 2**30)
        if self._device.type != "cuda":
            return 2**62
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._device)
        return max(free - KEPT_FREE, 0)


class _Run:
    """One call: the scheduler decides on the host, the device computes."""

    def __init__(
        self,
        engine: DeviceEngine,
        free: FreePages,
        spare: int,
        sampling: Sampling,
        ending: Ending,
        on_finished: Callable[[list[Sequence]], None],
    ) -> None:
        assert engine._slots is not None and engine._step is not None
        self._model = engine.model
        self._cache = engine._cache
        self._slots, self._step, self._graphs = engine._slots, engine._step, engine._graphs
        self._device = engine._device
        self._free = free
        max_rows = min(engine._max_rows, self._slots.max_rows)
        horizon = CHUNK_STEPS if spare else _NO_LIMIT
        self._scheduler = Scheduler(free, max_rows, horizon, spare)
        self._sampling = sampling
        self._ending = ending
        self._on_finished = on_finished
        self.stats = GenerateStats()

    def run(self, prompts: list[Prompt], groups: list[list[Sequence]]) -> GenerateStats:
        start = time.perf_counter()
        self._share_prefix(prompts, groups)
        scheduler = self._scheduler
        scheduler.waiting.extend(row for group in groups for row in group)
        over: list[Sequence] = []
        before: list[Sequence] = []
        while scheduler.has_work:
            scheduler.admit()
            self._prefill(scheduler.spans())
            scheduler.start_loaded()
            grown = scheduler.reserve()
            if scheduler.running:
                steps = self._launch(before, grown)
                self._hand_on(over)
                over = self._collect(steps)
                before = scheduler.running
                scheduler.finish(over)
        self._hand_on(over)
        self.stats.decode_seconds = time.perf_counter() - start - self.stats.prefill_seconds
        self.stats.num_completions = sum(len(group) for group in groups)
        self.stats.num_tokens = sum(len(row.token_ids) for group in groups for row in group)
        self.stats.num_preempted = scheduler.num_preempted
        return self.stats

    def _launch(self, before: list[Sequence], grown: set[int]) -> int:
        """Bring the slots up to date and start some steps; returns how many."""
        rows, slots = self._scheduler.running, self._slots
        graph = None
        if self._graphs is not None:
            graph = self._graphs.prepare(len(rows), self._sampling)
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
        slots.begin_chunk()
        steps = min(CHUNK_STEPS, max(row.limit - len(row.token_ids) for row in rows))
        if self._scheduler.waiting:
            steps = min(steps, CHUNK_STEPS // 2)
        for _ in range(steps):
            if graph is not None:
                graph.replay()
            else:
                self._step.run_once(len(rows), self._sampling)
        self.stats.num_steps += steps
        return steps

    def _captured(self) -> bool:
        """Whether a graph was captured just now, which leaves the slots inactive."""
        return self._graphs is not None and self._graphs.captured_now()

    def _collect(self, steps: int) -> list[Sequence]:
        """Wait for the steps; write the tokens down; returns those that are over."""
        chunk = self._slots.download(steps)
        over = []
        for place, row in enumerate(self._scheduler.running):
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
            prefix.pages = self._free.take(num_pages)
            tokens = list(prompts[0].token_ids[: num_pages * PAGE_TOKENS])
            rows = cache_rows(prefix.pages, len(tokens))
            self._prefill([Span(tokens, rows, rows)])
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
            self._cache,
            self._tensor(np.concatenate([span.write_rows for span in spans])),
            self._tensor(np.concatenate([span.read_rows for span in spans])),
            [len(span.token_ids) for span in spans],
            [len(span.read_rows) for span in spans],
        )
        self._model.base_model(
            input_ids=self._tensor(np.asarray([ids])),
            position_ids=self._tensor(np.concatenate(ends)[None]),
            use_cache=False,
            engine_pass=engine_pass,
        )
        self.stats.prefill_tokens += len(ids)
        self.stats.prefill_seconds += time.perf_counter() - start

    def _tensor(self, array: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def cache_rows(pages: list[int], count: int) -> NDArray[np.int64]:
    """The cache rows of the first ``count`` tokens in ``pages``."""
    columns = np.arange(count)
    rows: NDArray[np.int64] = np.asarray(pages, np.int64)[columns // PAGE_TOKENS] * PAGE_TOKENS
    return rows + columns % PAGE_TOKENS


def _pages_of_longest(prompts: list[Prompt], limits: list[list[int]]) -> int:
    pairs = zip(prompts, limits, strict=True)
    return max(pages_for(len(p.token_ids)) + pages_for(max(g, default=0)) for p, g in pairs)


def _pages_needed(prompts: list[Prompt], limits: list[list[int]], max_rows: int) -> int:
    """Pages of all prompts and of the ``max_rows`` longest completions."""
    own = sorted((pages_for(limit) for group in limits for limit in group), reverse=True)
    return sum(pages_for(len(p.token_ids)) for p in prompts) + sum(own[:max_rows])


def _addresses(model: Any) -> list[int]:
    return [parameter.data_ptr() for parameter in model.parameters()]


__all__ = ["DeviceEngine", "PromptPages"]
