"""The benchmark at a small size: what it plants is what is dropped."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_it_finds_what_it_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from curate import measure

    asked = Namespace(rows=2000, mean_words=180.0, seed=0, workers=1, only_make=False)
    result = measure(asked, tmp_path)
    planted, dropped = result["planted"], result["dropped"]
    assert dropped.pop("near duplicate") >= planted.pop("near duplicate") - 1
    assert dropped == planted
    assert result["rows_per_second"] > 0
    again = measure(asked, tmp_path)  # of the rows that it kept
    assert again["kept"] == result["kept"]
