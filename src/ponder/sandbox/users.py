"""The user that a zygote and its runs have: nobody else's, where we may choose."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# A range that distributions and container tools leave free (systemd's table of user numbers), so
# that no file belongs to these users, no process either, and limits count one zygote's runs only.
_FIRST, _COUNT = 0x70000000, 0x0FFD0000
NUM_SLOTS = 64  # zygotes of one process
NOBODY = 65534


@dataclass(frozen=True, slots=True)
class User:
    """``number`` is the user to change to; None to stay who we are (not root)."""

    number: int | None

    @property
    def is_own(self) -> bool:
        """Whether no other process has this user, so that its processes can be counted."""
        return self.number is not None and self.number != NOBODY


def user_for(slot: int) -> User:
    """The user of this process's zygote number ``slot``."""
    if os.geteuid() != 0:
        return User(None)
    number = _FIRST + (os.getpid() * NUM_SLOTS + slot % NUM_SLOTS) % _COUNT
    return User(number if _is_mapped(number) else NOBODY)


def _is_mapped(number: int) -> bool:
    """Whether this user namespace has that user; most containers have all, rootless ones few."""
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        first, _, count = map(int, line.split())
        if first <= number < first + count:
            return True
    return False
