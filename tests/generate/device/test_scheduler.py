"""The scheduler alone: whatever the memory, nothing is shared, lost, skipped or stuck."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.errors import PonderError
from ponder.generate.batch import PromptPages, Sequence
from ponder.generate.device import scheduler as module
from ponder.generate.device.cache import FreePages
from ponder.generate.device.scheduler import Scheduler
from ponder.generate.pages import PAGE_TOKENS, SharedPrefix, pages_for
from ponder.types import Prompt


@dataclass
class World:
    """A call of ``generate`` in which keys and values are the tokens themselves."""

    lengths: list[int]
    limits: list[list[int]]
    extra_pages: int
    max_rows: int
    horizon: int
    spare: int
    common_pages: int
    prefill_tokens: int
    rng: random.Random
    pages_ahead: int = 0
    cache: dict[int, int] = field(default_factory=dict)
    num_prefilled: int = 0

    def __post_init__(self) -> None:
        prefix = SharedPrefix()
        numbers = iter(range(10**9))
        common = [next(numbers) for _ in range(self.common_pages * PAGE_TOKENS)]
        self.groups, self.rows = [], []
        for name, (length, limits) in enumerate(zip(self.lengths, self.limits, strict=True)):
            ids = (*common, *(next(numbers) for _ in range(length)))
            group = PromptPages(Prompt(str(name), "", ids), prefix, len(limits))
            self.groups.append(group)
            self.rows += [Sequence(group, i, 0, limit) for i, limit in enumerate(limits)]
        self.ends = {id(row): self.rng.randint(1, row.limit) for row in self.rows}
        fewest = max(
            pages_for(len(row.group.prompt.token_ids)) + pages_for(row.limit) for row in self.rows
        )
        self.free = FreePages(fewest + self.extra_pages)
        prefix.pages = self.free.take(self.common_pages)
        self.prefix = prefix
        for place, token in enumerate(common):
            self.cache[prefix.pages[place // PAGE_TOKENS] * PAGE_TOKENS + place % PAGE_TOKENS] = (
                token
            )
        self.numbers = numbers
        self.scheduler = Scheduler(
            self.free, self.max_rows, self.horizon, self.spare, self.pages_ahead
        )
        self.scheduler.waiting.extend(self.rows)
        self.admitted: list[int] = []

    def run(self) -> None:
        for _ in range(20_000):
            if not self.scheduler.has_work:
                return
            self.turn()
        raise AssertionError("it never ends")

    def turn(self) -> None:
        scheduler = self.scheduler
        scheduler.admit()
        self.note_admitted()
        self.prefill()
        scheduler.start_loaded()
        before = {id(row): len(row.pages) for row in scheduler.running}
        grown = scheduler.reserve()
        assert grown == {
            id(row) for row in scheduler.running if len(row.pages) > before[id(row)]
        } | (grown - {id(row) for row in scheduler.running})
        assert len(scheduler.running) <= self.max_rows
        self.check_pages()
        over = [row for row in scheduler.running if self.decode(row)]
        scheduler.finish(over)
        self.check_pages()

    def note_admitted(self) -> None:
        new = [n for n, row in enumerate(self.rows) if row.pages and n not in self.admitted]
        self.admitted += new
        assert self.admitted == sorted(self.admitted)  # first come, first served

    def prefill(self) -> None:
        spans = self.scheduler.spans()
        assert sum(len(span.token_ids) for span in spans) <= self.prefill_tokens
        for span in spans:
            self.num_prefilled += len(span.token_ids)
            for row, token in zip(span.write_rows.tolist(), span.token_ids, strict=True):
                self.cache[row] = token
        known = {row.group.prompt.token_ids[-1]: row for row in self.rows}
        for span in spans:
            end = span.read_rows.tolist()[-len(span.token_ids) :]
            assert end == span.write_rows.tolist()
            seen = [self.cache.get(row) for row in span.read_rows.tolist()]
            self.check_is_a_beginning(seen, known)

    def check_is_a_beginning(self, seen: list[int | None], known: dict[int, Sequence]) -> None:
        """What a span reads is some sequence from its first token on."""
        texts = [[*row.group.prompt.token_ids, *row.token_ids] for row in self.rows]
        assert any(text[: len(seen)] == seen for text in texts)

    def decode(self, row: Sequence) -> bool:
        """Some tokens, each written to where it belongs; says whether the row is over."""
        columns = self.columns(row)
        prompt = list(row.group.prompt.token_ids)
        cached = [*prompt[:-1], *[prompt[-1], *row.token_ids][: len(row.token_ids)]]
        assert [self.cache.get(column) for column in columns[: len(cached)]] == cached
        for _ in range(min(self.horizon, 32)):
            self.cache[columns[len(prompt) - 1 + len(row.token_ids)]] = row.next_input
            row.token_ids.append(next(self.numbers))
            if len(row.token_ids) == self.ends[id(row)]:
                return True
        return False

    def columns(self, row: Sequence) -> list[int]:
        """The cache rows of all tokens that the row has pages for, without the gap."""
        prompt = self.prefix.pages + row.group.own
        cached = row.group.num_cached
        rows = [page * PAGE_TOKENS + place for page in prompt for place in range(PAGE_TOKENS)]
        own = [page * PAGE_TOKENS + place for page in row.pages for place in range(PAGE_TOKENS)]
        return rows[:cached] + own

    def check_pages(self) -> None:
        """Each page has one owner."""
        taken = [page for row in self.rows for page in row.pages]
        taken += [page for group in self.groups for page in group.own]
        everything = [*taken, *self.prefix.pages, *self.free._free]
        assert sorted(everything) == list(range(1, self.free.capacity + 1))


@st.composite
def make_world(draw: st.DrawFn) -> World:
    num_groups = draw(st.integers(1, 5))
    sizes = st.one_of(st.integers(1, 5), st.integers(1, 150), st.sampled_from([32, 33, 64, 65]))
    lengths = draw(st.lists(sizes, min_size=num_groups, max_size=num_groups))
    many = st.lists(st.one_of(sizes, st.integers(60, 300)), min_size=1, max_size=5)
    limits = [draw(many) for _ in range(num_groups)]
    horizon = draw(st.sampled_from([1, 8, 32, 32, 32, 2**30]))
    return World(
        lengths,
        limits,
        extra_pages=draw(st.integers(0, 12)),
        max_rows=draw(st.integers(1, 8)),
        horizon=horizon,
        spare=draw(st.sampled_from([0, 0, 1, 2])),
        common_pages=draw(st.integers(0, 2)),
        prefill_tokens=draw(st.sampled_from([1, 20, 100, 8192])),
        rng=random.Random(draw(st.integers(0, 99))),
        pages_ahead=draw(st.sampled_from([0, 2, 5, 100])),
    )


@settings(max_examples=300, deadline=None)
@given(world=make_world())
def test_whatever_the_memory(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PREFILL_TOKENS", world.prefill_tokens)
        world.run()
    assert all(len(row.token_ids) == world.ends[id(row)] for row in world.rows)
    assert len(world.free) + len(world.prefix.pages) == world.free.capacity
    assert not any(row.pages for row in world.rows)


def fixed_world(lengths, limits, extra_pages: int, **changes) -> World:
    settings = {
        "max_rows": 64,
        "horizon": 32,
        "spare": 1,
        "common_pages": 0,
        "prefill_tokens": 8192,
        "rng": random.Random(0),
    }
    world = World(lengths, limits, extra_pages, **settings | changes)
    world.ends = {id(row): row.limit for row in world.rows}
    return world


def test_with_room_every_prompt_is_computed_once() -> None:
    world = fixed_world([1, 40, 65], [[200] * 4, [3] * 4, [64] * 4], extra_pages=99)
    world.run()
    assert world.num_prefilled == 0 + 39 + 64
    assert world.scheduler.num_preempted == 0


def test_prompts_of_those_who_wait_share_a_pass() -> None:
    limits = [[32], [64], [96], [128], [32], [32], [32], [32], [32]]
    settings = {"max_rows": 4, "horizon": 2**30, "spare": 0}
    # One after the other is over, and the next comes in.
    world = fixed_world([40] * 9, limits, 99, **settings)
    assert passes_of(world) == [4 * 39, 39, 2 * 39, 2 * 39]
    world = fixed_world([40] * 9, limits, 99, **settings, pages_ahead=6)  # of three prompts
    assert passes_of(world) == [7 * 39, 0, 0, 2 * 39]
    assert world.num_prefilled == 9 * 39


def test_only_as_many_prompts_ahead_as_a_pass_is_worth(monkeypatch) -> None:
    monkeypatch.setattr(module, "AHEAD_TOKENS", 70)
    settings = {"max_rows": 1, "horizon": 2**30, "spare": 0, "pages_ahead": 50}
    world = fixed_world([40] * 5, [[32, 32]] * 5, 99, **settings)
    assert passes_of(world) == [2 * 39, 0, 0, 0, 2 * 39, 0, 0, 0, 39]


@pytest.mark.parametrize(("prefill_tokens", "num_prompts"), [(8192, 4), (39, 3)])
def test_prompts_ahead_give_way(monkeypatch, prefill_tokens: int, num_prompts: int) -> None:
    """The pool holds less than promised: the third prompt goes for the second row, and is computed
    again, unless it was still to be computed."""
    monkeypatch.setattr(module, "PREFILL_TOKENS", prefill_tokens)
    settings = {"max_rows": 1, "horizon": 2**30, "spare": 0, "pages_ahead": 9}
    world = fixed_world([40, 40, 40], [[32], [128], [32]], 1, **settings)
    world.turn()
    assert [len(row.group.own) for row in world.rows] == [0, 2, 2]
    world.scheduler.admit()
    assert [len(row.group.own) for row in world.rows] == [0, 2, 0]
    world.run()
    assert world.num_prefilled == num_prompts * 39


def passes_of(world: World) -> list[int]:
    """Tokens prefilled in each turn, without the turns after the last."""
    tokens = []
    while world.scheduler.has_work:
        before = world.num_prefilled
        world.turn()
        tokens.append(world.num_prefilled - before)
    while not tokens[-1]:
        tokens.pop()
    return tokens


def test_the_last_to_come_is_the_first_to_go() -> None:
    world = fixed_world([2, 2, 2], [[128], [128], [128]], extra_pages=1, spare=0)
    scheduler = world.scheduler
    world.turn()
    assert [len(row.pages) for row in scheduler.running] == [1, 1, 1]
    world.turn()
    assert scheduler.num_preempted > 0
    assert scheduler.running[0] is world.rows[0]
    assert scheduler.waiting[-1] is world.rows[2]
    assert world.rows[2].token_ids
    assert not world.rows[2].pages
    world.run()
    assert [len(row.token_ids) for row in world.rows] == [128, 128, 128]


def test_spare_pages_keep_the_next_one_out() -> None:
    world = fixed_world([1, 1], [[64], [64]], extra_pages=0, spare=2)
    world.turn()
    assert world.scheduler.running == [world.rows[0]]
    world = fixed_world([1, 1], [[64], [64]], extra_pages=0, spare=0)
    world.turn()
    assert len(world.scheduler.running) == 2


def test_too_few_pages_for_one_sequence() -> None:
    group = PromptPages(Prompt("p", "", tuple(range(40))), SharedPrefix(), 1)
    scheduler = Scheduler(FreePages(3), 4, 32)
    scheduler.waiting.append(Sequence(group, 0, 0, 64))
    scheduler.admit()
    scheduler.spans()
    (row,) = scheduler.start_loaded()
    row.token_ids = [0] * 32
    with pytest.raises(PonderError, match=r"engine\.memory_gib"):
        scheduler.reserve()
    scheduler = Scheduler(FreePages(2), 4, 2**30)
    scheduler.waiting.append(Sequence(PromptPages(group.prompt, SharedPrefix(), 1), 0, 0, 64))
    with pytest.raises(PonderError, match=r"engine\.memory_gib"):
        scheduler.admit()
