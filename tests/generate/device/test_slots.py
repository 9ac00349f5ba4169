"""What the device is told of the sequences, through a host that remembers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ponder.generate.batch import PromptPages, Sequence
from ponder.generate.device.launch import LONGEST_RUN
from ponder.generate.device.slots import MORE_ROWS, Slots, _runs
from ponder.generate.pages import SharedPrefix
from ponder.types import Prompt

CPU = torch.device("cpu")


def group_of(name: str, length: int, own: list[int]) -> PromptPages:
    return PromptPages(Prompt(name, "", tuple(range(length))), SharedPrefix(), 9, own)


def sequences(group: PromptPages, *pages: int) -> list[Sequence]:
    return [Sequence(group, i, 100 + page, 50, pages=[page]) for i, page in enumerate(pages)]


@pytest.mark.parametrize(
    ("groups", "runs"),
    [
        ([], []),
        ([1], [1]),
        ([1, 2, 3], [1, 1, 1]),
        ([1, 1, 1, 2, 3, 3], [3, 0, 0, 1, 2, 0]),
        ([1, 2, 2, 1, 1], [1, 2, 0, 2, 0]),
        ([7] * (LONGEST_RUN + 1), [LONGEST_RUN] + [0] * (LONGEST_RUN - 1) + [1]),
        ([7] * (LONGEST_RUN + 2), [LONGEST_RUN] + [0] * (LONGEST_RUN - 1) + [2, 0]),
    ],
)
def test_runs(groups, runs) -> None:
    assert _runs(groups) == runs


def test_page_tables_follow_their_rows() -> None:
    first, second = group_of("a", 40, [1, 2]), group_of("b", 1, [])
    rows = [*sequences(first, 3, 4, 5), *sequences(second, 6, 7)]
    slots, idle = Slots(8, 4, CPU), [0] * (3 + MORE_ROWS)
    slots.arrange(rows, [])
    slots.upload()
    assert slots.page_table[:5].tolist() == [
        [1, 2, 3, 0],
        [1, 2, 4, 0],
        [1, 2, 5, 0],
        [6, 0, 0, 0],
        [7, 0, 0, 0],
    ]
    assert slots.runs.tolist() == [3, 0, 0, 1, 1, *idle]  # "b" has no prompt to share
    assert slots.prefix.tolist() == [39, 39, 39, 0, 0, *idle]
    assert slots.active.tolist() == [1, 1, 1, 1, 1, *idle]

    third = sequences(group_of("c", 33, [8]), 9)
    rows[4].pages.append(10)
    after = [rows[0], rows[2], rows[4], *third]
    slots.arrange(after, [0, 2, 4])
    slots.set_pages(2, rows[4])
    slots.upload()
    assert slots.page_table[:4].tolist() == [
        [1, 2, 3, 0],
        [1, 2, 5, 0],
        [7, 10, 0, 0],
        [8, 9, 0, 0],
    ]
    assert slots.runs.tolist() == [2, 0, 1, 1, 0, *idle]
    assert slots.key.tolist()[:4] == [103, 105, 107, 109]
    assert slots.active.tolist() == [1, 1, 1, 1, 0, *idle]


def test_a_table_that_was_longer_leaves_nothing_behind() -> None:
    slots = Slots(2, 4, CPU)
    long = Sequence(group_of("a", 40, [1, 2]), 0, 0, 50, pages=[3, 4])
    slots.arrange([long], [])
    slots.arrange(sequences(group_of("b", 2, [5]), 6), [])
    slots.upload()
    assert slots.page_table[0].tolist() == [5, 6, 0, 0]


def test_what_the_device_did_stays_when_rows_move() -> None:
    rows = sequences(group_of("a", 40, [1, 2]), 3, 4)
    slots = Slots(4, 4, CPU)
    slots.arrange(rows, [])
    slots.upload()
    slots.begin_chunk()
    slots.token[:2] = torch.tensor([11, 12])
    slots.own[:2] = torch.tensor([1, 2])
    slots.active[0] = 0
    slots.suspect[1] = 1
    slots.out_tokens[:2, :2] = torch.tensor([[11, 21], [0, 12]])
    chunk = slots.receive(slots.send(2))
    assert chunk.tokens == [[11, 0], [21, 12]]
    assert (chunk.counts, chunk.finished, chunk.suspect) == ([1, 2], [True, False], [False, True])
    slots.arrange([rows[1]], [1])
    slots.upload()
    assert (slots.token[0], slots.own[0], slots.active[0]) == (12, 2, 1)
    slots.own[0] = 5
    assert slots.receive(slots.send(3)).counts == [3]


def test_a_row_that_returns_goes_on_where_it_was() -> None:
    group = group_of("a", 33, [1])
    row = Sequence(group, 0, 5, 50, token_ids=[7, 8, 9], pages=[2])
    slots = Slots(1, 2, CPU)
    slots.arrange([row], [])
    slots.upload()
    assert (slots.token[0], slots.own[0], slots.prefix[0]) == (9, 3, 32)


def test_the_mirror_is_copied_before_it_is_sent() -> None:
    """The host may go on writing while the device still reads."""
    rows = sequences(group_of("a", 2, [1]), 3)
    slots = Slots(1, 2, CPU)
    slots.arrange(rows, [])
    slots.upload()
    slots._table[:] = np.int32(9)
    assert slots.page_table.tolist() == [[1, 3], *[[0, 0]] * MORE_ROWS]
