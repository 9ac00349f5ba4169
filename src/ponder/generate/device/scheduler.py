"""Who is decoded next: admission, prompts in pieces, pages ahead of need, preemption. No torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ponder.errors import PonderError
from ponder.generate.batch import PromptPages, Sequence
from ponder.generate.device.cache import FreePages
from ponder.generate.pages import PAGE_TOKENS, pages_for

PREFILL_TOKENS = 8192
"""Most tokens that are prefilled between two chunks of decode steps."""

AHEAD_TOKENS = 2048
"""Tokens that a pass is filled up to with prompts of sequences that still wait: a few prompts take
the device hardly longer than one, and the host no longer."""

AHEAD_PAGES = 2 * pages_for(AHEAD_TOKENS)
"""Pages that are worth having for such prompts, of which the last is seldom full."""

ALL_AHEAD = 2**30
"""The horizon where there is room for all that anyone may need."""


@dataclass(slots=True, eq=False)
class Load:
    """Tokens that must be computed into pages before a sequence can run.

    ``rows`` are the cache rows of all tokens, those that are there already included; the last
    ``len(token_ids)`` of them belong to ``token_ids``.
    """

    token_ids: list[int]
    rows: NDArray[np.int64]
    num_done: int = 0

    @property
    def num_left(self) -> int:
        return len(self.token_ids) - self.num_done


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a load: what one prefill pass computes of it."""

    token_ids: list[int]
    write_rows: NDArray[np.int64]
    read_rows: NDArray[np.int64]
    """Of all tokens of the sequence up to and with the piece."""


@dataclass(slots=True)
class Scheduler:
    """Sequences wait, load and run; pages are taken just ahead of need.

    When none are free, the sequence that came last gives its pages back and waits at the front:
    its tokens stay, and its keys and values are computed again when it returns.

    Args:
        free: all pages but those of the common prefix.
        max_rows: most sequences that load and run at once.
        horizon: steps that a sequence must have pages for; ``ALL_AHEAD``: for all it may take.
        spare: pages that must stay free for each sequence that is in already when another comes.
        pages_ahead: pages for prompts of sequences that wait, beyond those that ``max_rows`` need.
    """

    free: FreePages
    max_rows: int
    horizon: int
    spare: int = 0
    pages_ahead: int = 0
    waiting: deque[Sequence] = field(default_factory=deque)
    running: list[Sequence] = field(default_factory=list)
    num_preempted: int = 0
    _loading: list[tuple[Sequence, list[Load]]] = field(default_factory=list)
    _loads: dict[int, Load] = field(default_factory=dict)
    """Of prompts that are being computed, by ``id`` of the group."""
    _queue: deque[Load] = field(default_factory=deque)

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self._loading or self.running)

    @property
    def is_settled(self) -> bool:
        """Whether those that run go on as they are until some are over: nobody is to come, no page
        is missing."""
        return self.horizon == ALL_AHEAD and not (self.waiting or self._loading)

    def admit(self) -> None:
        """Let waiting sequences in, as long as there are rows and pages for them."""
        while self.waiting and len(self.running) + len(self._loading) < self.max_rows:
            row = self.waiting[0]
            prompt = self._missing_prompt_pages(row.group)
            own = self._pages_ahead(row)
            spare = self.spare * (len(self.running) + len(self._loading))
            if prompt + own + spare > len(self.free):
                self._drop_idle_prompts(row.group)
            if prompt + own + spare > len(self.free):
                if not (self.running or self._loading):
                    raise _too_small(self.free, prompt + own)
                return
            self.waiting.popleft()
            self._take_prompt_pages(row.group, prompt)
            row.pages += self.free.take(own)
            self._loading.append((row, self._loads_of(row)))
        self._load_ahead()

    def _load_ahead(self) -> None:
        """Where a prompt is to be computed, compute those of the next in line with it."""
        num_tokens = sum(load.num_left for load in self._queue)
        if not (num_tokens and self.pages_ahead):
            return
        room, seen = self.pages_ahead, self._groups_in()
        for row in self.waiting:
            if num_tokens >= AHEAD_TOKENS:
                return
            if id(row.group) in seen:
                continue
            seen.add(id(row.group))
            missing = self._missing_prompt_pages(row.group)
            room -= missing + len(row.group.own)
            if room < 0 or missing > len(self.free):
                return
            num_tokens += self._take_prompt_pages(row.group, missing)

    def spans(self) -> list[Span]:
        """The next pieces to prefill, ``PREFILL_TOKENS`` tokens at most."""
        room, spans = PREFILL_TOKENS, []
        while self._queue and room:
            load = self._queue[0]
            count = min(room, load.num_left)
            before = len(load.rows) - load.num_left
            spans.append(
                Span(
                    load.token_ids[load.num_done : load.num_done + count],
                    load.rows[before : before + count],
                    load.rows[: before + count],
                )
            )
            load.num_done += count
            room -= count
            if not load.num_left:
                self._queue.popleft()
        return spans

    def start_loaded(self) -> list[Sequence]:
        """Sequences whose tokens are all computed now: they run from here on."""
        ready = [row for row, loads in self._loading if not any(load.num_left for load in loads)]
        started = {id(row) for row in ready}
        self._loading = [entry for entry in self._loading if id(entry[0]) not in started]
        self._loads = {key: load for key, load in self._loads.items() if load.num_left}
        self.running += ready
        return ready

    def reserve(self) -> set[int]:
        """Pages for the next ``horizon`` tokens of all that run; preempts where there are none.

        Returns:
            ``id`` of the sequences that got pages.
        """
        grown: set[int] = set()
        place = 0
        while place < len(self.running):
            row = self.running[place]
            missing = self._pages_ahead(row)
            if missing <= len(self.free):
                if missing:
                    row.pages += self.free.take(missing)
                    grown.add(id(row))
                place += 1
            elif self._drop_idle_prompts():
                continue
            elif len(self.running) > 1:
                self._preempt(self.running.pop())
            elif not self._loading:
                raise _too_small(self.free, missing)
            else:
                self._unload()
        return grown

    def finish(self, rows: Iterable[Sequence]) -> None:
        """Sequences that are over give their pages back, the last of a group the prompt's too."""
        over = {id(row) for row in rows}
        for row in self.running:
            if id(row) in over:
                self.free.give(row.pages)
                row.pages = []
                row.group.num_waiting -= 1
                self._drop_prompt(row.group, row.group.num_waiting == 0)
        self.running = [row for row in self.running if id(row) not in over]

    def _pages_ahead(self, row: Sequence) -> int:
        wanted = min(len(row.token_ids) + self.horizon, row.limit)
        return max(pages_for(wanted) - len(row.pages), 0)

    def _missing_prompt_pages(self, group: PromptPages) -> int:
        pages = pages_for(group.num_cached) - len(group.prefix.pages)
        return 0 if group.own else max(pages, 0)

    def _take_prompt_pages(self, group: PromptPages, missing: int) -> int:
        """Pages for a prompt that has none, which is computed from now on; its tokens."""
        if not missing:
            return 0
        group.own += self.free.take(missing)
        skip = len(group.prefix.pages) * PAGE_TOKENS
        tokens = list(group.prompt.token_ids[skip:-1])
        rows = _rows(group.prefix.pages + group.own, np.arange(group.num_cached))
        self._loads[id(group)] = Load(tokens, rows)
        self._queue.append(self._loads[id(group)])
        return len(tokens)

    def _loads_of(self, row: Sequence) -> list[Load]:
        """What the row waits for: its prompt (perhaps on its way already) and its own tokens."""
        group, loads = row.group, []
        if id(group) in self._loads:
            loads.append(self._loads[id(group)])
        if row.token_ids:  # it ran before
            prompt_pages = group.prefix.pages + group.own
            columns = np.arange(group.num_cached)
            own = np.arange(len(row.token_ids)) + len(prompt_pages) * PAGE_TOKENS
            all_rows = _rows(prompt_pages + row.pages, np.concatenate([columns, own]))
            loads.append(Load([group.prompt.token_ids[-1], *row.token_ids[:-1]], all_rows))
            self._queue.append(loads[-1])
        return loads

    def _preempt(self, row: Sequence) -> None:
        self.free.give(row.pages)
        row.pages = []
        self.num_preempted += 1
        self._drop_prompt(row.group, id(row.group) not in self._groups_in())
        self.waiting.appendleft(row)

    def _groups_in(self) -> set[int]:
        """``id`` of the groups of which some sequence loads or runs."""
        return {id(row.group) for row in (*self.running, *(row for row, _ in self._loading))}

    def _drop_idle_prompts(self, kept: PromptPages | None = None) -> bool:
        """Free prompts of groups that only wait (they are computed again); whether there were."""
        used = self._groups_in()
        idle = [
            row.group
            for row in self.waiting
            if row.group.own and row.group is not kept and id(row.group) not in used
        ]
        for group in idle:
            self._forget_prompt(group)
            self._drop_prompt(group, True)  # the second time it has none
        return bool(idle)

    def _forget_prompt(self, group: PromptPages) -> None:
        """Compute no more of it."""
        load = self._loads.pop(id(group), None)
        if load is not None and load in self._queue:
            self._queue.remove(load)

    def _unload(self) -> None:
        """The last one that loads waits again; what of its tokens is computed is lost."""
        row, loads = self._loading.pop()
        shared = self._loads.get(id(row.group))
        for load in loads:
            if load is not shared and load in self._queue:
                self._queue.remove(load)
        self._preempt(row)
        if not row.group.own:
            self._forget_prompt(row.group)

    def _drop_prompt(self, group: PromptPages, is_unused: bool) -> None:
        if is_unused:
            self.free.give(group.own)
            group.own = []


def _rows(pages: list[int], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cache rows of columns (places in the pages, one after the other)."""
    numbers = np.asarray(pages, np.int64)
    if not len(columns):
        return columns
    rows: NDArray[np.int64] = numbers[columns // PAGE_TOKENS] * PAGE_TOKENS + columns % PAGE_TOKENS
    return rows


def _too_small(free: FreePages, wanted: int) -> PonderError:
    return PonderError(
        "engine.memory_gib",
        f"{free.capacity} pages of {PAGE_TOKENS} tokens",
        f"one sequence alone needs {wanted} more pages than are free: give the engine more memory, "
        "or lower sampling.max_completion_tokens",
    )
