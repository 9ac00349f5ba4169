"""Pipelines that are run in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pipeline.living import Lives


@pytest.fixture(scope="module")
def lives(inputs: Path) -> Iterator[Lives]:
    """Of a module whose ``inputs`` is a folder for the whole module."""
    lives = Lives(inputs)
    yield lives
    lives.process.kill()
    lives.process.wait()


@pytest.fixture(scope="module")
def whole(inputs: Path, lives: Lives) -> Path:
    """The pipeline of inputs/p.toml without interruption."""
    run = inputs / "whole"
    code, said = lives.live("run", str(inputs / "p.toml"), "--out", str(run), "--yes")
    assert code == 0, said
    return run
