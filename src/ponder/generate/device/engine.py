"""The device engine: what outlives a call of ``generate``, and the loop of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from ponder.config.rl import EngineConfig
from ponder.errors import PonderError
from ponder.generate.attention import engine_mode
from ponder.generate.batch import Sequence
from ponder.generate.device.cache import FreePages, KvCache
from ponder.generate.device.compiled import compiled_for_decode, join_weights
from ponder.generate.device.latent import watching_latents
from ponder.generate.device.loop import Device, Loop
from ponder.generate.device.probe import attention_modules, probe
from ponder.generate.device.scheduler import AHEAD_PAGES, ALL_AHEAD, Scheduler
from ponder.generate.device.slots import CHUNK_STEPS, Slots
from ponder.generate.device.static import changing_rope, static_experts
from ponder.generate.device.step import DecodeStep, Graphs, Stops
from ponder.generate.ending import Ending
from ponder.generate.pages import pages_for
from ponder.generate.run import GenerateStats, stream_groups
from ponder.types import Prompt, Sampling

KEPT_FREE = 3 * 2**30
"""Bytes of the GPU left to activations, logits and graphs when the cache takes what is free."""


class DeviceEngine:
    """Decodes with everything of a step on the device; one per model.

    Kept from call to call: the slots, compiled code and graphs. The cache's memory is taken at the
    start of a call and given back at its end.
    """

    def __init__(self, model: Any, max_rows: int, config: EngineConfig) -> None:
        self.model = model
        self._config = config
        self._max_rows = max_rows
        self._place = model.get_input_embeddings().weight.device
        if config.compile and self._place.type == "cuda":
            join_weights(model)
        facts = probe(model)
        pointers = torch.zeros(len(facts.layouts), 2, dtype=torch.int64, device=self._place)
        dtype = model.get_input_embeddings().weight.dtype
        self._cache = KvCache(facts.layouts, pointers, dtype)
        self._plain_head = facts.plain_head
        self._is_static = changing_rope(model) is None
        self._stops = Stops(model.get_output_embeddings().weight.shape[0], self._place)
        self._device: Device | None = None
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
        some_wait = sum(map(len, limits)) > self._max_rows
        wanted = needed + (AHEAD_PAGES if some_wait else 0)
        num_pages = min(wanted, self._most_pages(prompts, limits))
        spare, ahead = int(num_pages < needed), max(num_pages - needed, 0)
        with self._mode():
            try:
                self._cache.allocate(num_pages)
                assert self._device is not None
                horizon = CHUNK_STEPS if spare else ALL_AHEAD
                scheduler = Scheduler(FreePages(num_pages), self._max_rows, horizon, spare, ahead)
                loop = Loop(self._device, scheduler, sampling, ending, on_finished)
                return groups, loop.run(prompts, groups)
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
        if self._device is not None:
            old = self._device.slots
            if old.width >= width and old.max_rows >= rows:
                return
            width, rows = max(width, old.width), max(rows, old.max_rows)
            self._device = None
        slots = Slots(rows, width, self._place)
        step = DecodeStep(self.model, self._cache, slots, self._stops, self._plain_head)
        graphs = None
        if self._config.cuda_graphs and self._place.type == "cuda" and self._is_static:
            graphs = Graphs(step, slots, self._for_capture)
        self._device = Device(self.model, self._cache, slots, step, graphs)

    @contextmanager
    def _for_capture(self) -> Iterator[None]:
        with static_experts(self.model), compiled_for_decode(self.model, self._config.compile):
            yield

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
        if self._place.type != "cuda":
            return 2**62
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._place)
        return max(free - KEPT_FREE, 0)


def _pages_of_longest(prompts: list[Prompt], limits: list[list[int]]) -> int:
    pairs = zip(prompts, limits, strict=True)
    return max(pages_for(len(p.token_ids)) + pages_for(max(g, default=0)) for p, g in pairs)


def _pages_needed(prompts: list[Prompt], limits: list[list[int]], max_rows: int) -> int:
    """Pages of the ``max_rows`` longest prompts and of as many of the longest completions."""
    own = sorted((pages_for(limit) for group in limits for limit in group), reverse=True)
    shared = sorted((pages_for(len(prompt.token_ids)) for prompt in prompts), reverse=True)
    return sum(shared[:max_rows]) + sum(own[:max_rows])


def _addresses(model: Any) -> list[int]:
    return [tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())]
