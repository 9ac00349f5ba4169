"""The rows of a run that two runs must share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ponder.runlog import read_metrics


def comparable(run: Path) -> list[dict[str, Any]]:
    """The rows of a run folder without what a clock said."""
    return [
        {key: value for key, value in row.items() if not key.startswith(("time/", "speed/"))}
        for row in read_metrics(run / "metrics.jsonl")
    ]
