"""What the report reads from a run folder, finished or not."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.runlog import RunFolder, list_steps, read_alarms, read_json, read_metrics

MAX_POINTS = 2000
"""Points of a curve in the page; longer ones are thinned evenly."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric over the steps that have it; ascending, one value a step."""

    steps: list[int]
    values: list[float]


@dataclass(frozen=True, slots=True)
class RunData:
    """A run folder in memory, without its rollouts.

    ``before`` and ``after`` are evaluations as ``summary.json`` has them ("pass@1", "stderr", ...);
    of a run that goes on they are the first and the latest evaluation in metrics.jsonl.
    """

    folder: RunFolder
    config: dict[str, Any]
    config_toml: str
    series: dict[str, Series]
    summary: dict[str, Any] | None
    alarms: list[dict[str, Any]]
    rollout_steps: list[int]
    before: tuple[int, dict[str, Any]] | None
    after: tuple[int, dict[str, Any]] | None
    started: datetime

    @property
    def name(self) -> str:
        return str(self.config.get("name", self.folder.path.resolve().name))

    @property
    def num_steps(self) -> int:
        """Steps that have been trained."""
        trained = [s.steps[-1] + 1 for key, s in self.series.items() if not key.startswith("eval/")]
        return max(trained, default=0)

    @property
    def seconds(self) -> float | None:
        """Wall time of the run, or of its steps so far."""
        if self.summary is not None and "seconds" in self.summary:
            return float(self.summary["seconds"])
        steps = self.series.get("time/step_seconds")
        return math.fsum(steps.values) if steps else None


def load_run(folder: RunFolder) -> RunData:
    """Read everything but the rollouts.

    Raises:
        PonderError: config.toml, metrics.jsonl or summary.json is damaged.
    """
    config_toml = _read_text(folder.config_path)
    rows = read_metrics(folder.metrics_path)
    summary = _read_summary(folder) if folder.summary_path.exists() else None
    before, after = _evaluations(rows, summary)
    return RunData(
        folder=folder,
        config=_parse(folder, config_toml),
        config_toml=config_toml,
        series=collect_series(rows),
        summary=summary,
        alarms=read_alarms(folder.alarms_path),
        rollout_steps=list_steps(folder.rollouts_dir),
        before=before,
        after=after,
        started=datetime.fromtimestamp(folder.config_path.stat().st_mtime),
    )


def collect_series(rows: Sequence[dict[str, Any]]) -> dict[str, Series]:
    """Rows as curves. Where two rows of a step hold a key the later one counts; what is no finite
    number is left out."""
    by_key: dict[str, dict[int, float]] = {}
    for row in rows:
        for key, value in row.items():
            if key != "step" and isinstance(value, int | float) and math.isfinite(value):
                by_key.setdefault(key, {})[row["step"]] = value
    return {
        key: Series(sorted(points), [points[step] for step in sorted(points)])
        for key, points in by_key.items()
    }


def thin(series: Series, limit: int = MAX_POINTS) -> Series:
    """At most ``limit`` points, evenly chosen, the first and the last among them."""
    kept = evenly(len(series.steps), limit)
    return Series([series.steps[i] for i in kept], [series.values[i] for i in kept])


def evenly(length: int, limit: int) -> list[int]:
    """At most ``limit`` of the indices 0 .. length - 1, evenly spread, the first and last kept."""
    if length <= limit:
        return list(range(length))
    if limit <= 1:
        return [length - 1][:limit]
    return [round(i * (length - 1) / (limit - 1)) for i in range(limit)]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PonderError("run", str(path), f"not UTF-8 ({error}); restore the file") from error


def _read_summary(folder: RunFolder) -> dict[str, Any]:
    summary = read_json(folder.summary_path)
    if not isinstance(summary, dict) or not isinstance(summary.get("steps"), int):
        fix = 'not a summary ({"steps": n, ...}); delete the file to have a report without it'
        raise PonderError("run", str(folder.summary_path), fix)
    return summary


def _parse(folder: RunFolder, config_toml: str) -> dict[str, Any]:
    try:
        return tomllib.loads(config_toml)
    except tomllib.TOMLDecodeError as error:
        fix = f"this is not TOML ({error}); restore the file"
        raise PonderError("run", str(folder.config_path), fix) from error


def _evaluations(
    rows: Sequence[dict[str, Any]], summary: dict[str, Any] | None
) -> tuple[tuple[int, dict[str, Any]] | None, tuple[int, dict[str, Any]] | None]:
    found = [(int(row["step"]), _eval_figures(row)) for row in rows if "eval/pass@1" in row]
    before = found[0] if found else None
    after = found[-1] if len(found) > 1 else None
    if summary is not None:
        if summary.get("before"):
            before = (0, summary["before"])
        if summary.get("after"):
            after = (int(summary["steps"]), summary["after"])
    return before, after


def _eval_figures(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key.removeprefix("eval/"): value for key, value in row.items() if key.startswith("eval/")
    }
