"""Kinds of sources, and whether one is part of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ponder.config.rl import ProblemsConfig
from ponder.problems.kinds import same_source, source_kind


def config(**keys: Any) -> ProblemsConfig:
    return ProblemsConfig(**keys)


def test_kinds() -> None:
    assert source_kind(config(task="gcd")) == "task"
    assert source_kind(config(mixture=[])) == "mixture"
    assert source_kind(config(path=Path("a.jsonl"))) == "path"
    assert source_kind(config(hub="a/b", split="test")) == "hub"
    assert source_kind(config(name="gsm8k", path=Path("a"))) == "name"


MIXTURE = [{"task": "gcd"}, {"name": "math500", "weight": 2}, {"path": "a.jsonl"}, {"hub": "a/b"}]


@pytest.mark.parametrize(
    ("measured", "trained", "is_same"),
    [
        ({"path": Path("a.jsonl")}, {"path": Path("./a.jsonl")}, True),
        ({"path": Path("a.jsonl")}, {"path": Path("b.jsonl")}, False),
        ({"hub": "a/b"}, {"hub": "a/b"}, True),
        ({"hub": "a/b"}, {"hub": "a/c"}, False),
        ({"name": "math500"}, {"name": "math500", "path": Path("x")}, True),
        ({"name": "math500"}, {"name": "math"}, False),
        ({"task": "gcd"}, {"path": Path("a.jsonl")}, False),
        ({"name": "math500", "path": Path("x")}, {"mixture": MIXTURE}, True),
        ({"path": Path("a.jsonl")}, {"mixture": MIXTURE}, True),
        ({"hub": "a/b"}, {"mixture": MIXTURE}, True),
        ({"name": "gsm8k"}, {"mixture": MIXTURE}, False),
        ({"path": Path("c.jsonl")}, {"mixture": MIXTURE}, False),
    ],
)
def test_same_source(measured: dict[str, Any], trained: dict[str, Any], is_same: bool) -> None:
    assert same_source(config(**measured), config(**trained)) is is_same
