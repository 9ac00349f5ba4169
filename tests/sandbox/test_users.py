"""Which user a run has."""

from __future__ import annotations

import pytest

from ponder.sandbox import users
from ponder.sandbox.users import NOBODY, NUM_SLOTS, User, user_for


def test_root_gets_a_user_for_each_slot_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(users, "_is_mapped", lambda number: True)
    found = set()
    for pid in (1, 2, 4_194_303):
        monkeypatch.setattr("os.getpid", lambda pid=pid: pid)
        found |= {user_for(slot) for slot in range(NUM_SLOTS)}
    assert len(found) == 3 * NUM_SLOTS
    assert all(user.is_own and 0x70000000 <= (user.number or 0) < 0x7FFE0000 for user in found)


def test_where_few_users_are_mapped_it_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(users, "_is_mapped", lambda number: False)
    assert user_for(3) == User(NOBODY)
    assert not user_for(3).is_own


def test_an_ordinary_user_stays_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert user_for(0) == User(None)
