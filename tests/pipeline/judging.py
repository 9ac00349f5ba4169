"""Contexts, problems and models for tests of the stages that make rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponder.config.base import Config
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.pipeline.context import NullView, StageContext, never

VERIFIER = "tests.pipeline.verdicts:often"


@dataclass
class Told(NullView):
    """A view that remembers what it was told."""

    notes: list[str] = field(default_factory=list)
    steps: list[tuple[int, int, str]] = field(default_factory=list)

    def progress(self, done: int, total: int, text: str) -> None:
        self.steps.append((done, total, text))

    def note(self, text: str) -> None:
        self.notes.append(text)


def context_of(
    folder: Path,
    config: Config,
    inputs: dict[str, tuple[Path, ...]] | None = None,
    yes: bool = False,
    should_stop: Callable[[], bool] = never,
) -> StageContext:
    """A stage in a folder of its own, told to a ``Told``."""
    folder.mkdir(parents=True, exist_ok=True)
    return StageContext(
        name="stage",
        key="key",
        config=config,
        folder=folder,
        inputs=inputs or {},
        yes=yes,
        view=Told(),
        should_stop=should_stop,
    )


def write_problems(path: Path, count: int = 12) -> Path:
    """Sums, one row each."""
    rows = [{"question": f"{n} + {n + 3} =", "answer": str(2 * n + 3)} for n in range(count)]
    return write_lines(path, rows)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def card_of(context: StageContext) -> dict[str, Any]:
    """The data card beside a stage's rows."""
    found: dict[str, Any] = json.loads((context.folder / "rows.jsonl.card.json").read_text())
    return found


def tiny_model(folder: Path) -> str:
    """A random model on the disk."""
    save_model(*make_tiny_model(0), folder)
    return str(folder)
