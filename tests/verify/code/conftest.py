"""One sandbox for the tests of this folder; they are skipped where the machine can have none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ponder.errors import PonderError
from ponder.sandbox.jobs import ScriptJob
from ponder.sandbox.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        try:
            made.run(ScriptJob("print(42)"))
        except PonderError as error:
            pytest.skip(f"no isolation here: {error}")
        yield made
