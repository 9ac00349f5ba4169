"""One sandbox for the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ponder.sandbox.probe import probe
from ponder.sandbox.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    found = probe()
    if not found.ok:
        pytest.skip(f"no isolation here: {', '.join(piece.name for piece in found.missing)}")
    with Sandbox(num_parallel=2) as made:
        yield made
