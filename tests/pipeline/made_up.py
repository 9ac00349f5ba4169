"""Kinds of stages whose settings and wiring are real and whose work is made up: nothing is trained.

For tests of whole recipes and of the report. What comes out follows from the stage's name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

from ponder.config.benchmarks import BenchmarksConfig
from ponder.curate.card import make_card, write_card
from ponder.curate.rows import Mark, Row, RowWriter
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import CHECKPOINTS, StageKind
from ponder.runlog import CheckpointStore, write_json_atomic


def made_up(kinds: Mapping[str, StageKind]) -> dict[str, StageKind]:
    """The kinds with another ``run``."""
    return {name: replace(kind, run=_runner(kind), code=()) for name, kind in kinds.items()}


def _runner(kind: StageKind):  # type: ignore[no-untyped-def]
    def run(context: StageContext) -> None:
        for output in kind.outputs.values():
            path = context.folder / output.path
            if output.type == "table":
                _table(context, path)
            elif output.type == "rows":
                _rows(context, path)
            elif output.path == CHECKPOINTS:
                CheckpointStore(path).save(3, lambda to: _model(to, context.name))
            else:
                path.mkdir(parents=True)
                _model(path, context.name)
        if kind.inputs.get("model") and "model" in kind.outputs:
            _run_folder(context)

    return run


def _model(folder: Path, name: str) -> None:
    (folder / "weights").write_text(name)


def _rows(context: StageContext, path: Path) -> None:
    with RowWriter(path, at=Mark()) as writer:
        for number in range(20):
            language = "zh" if number % 2 else "en"
            domain = "general" if number > 14 else "math"
            row = Row(f"r{number}", "1 + 1 =", "<think> 2 </think> 2", domain, context.name)
            writer.write(replace(row, metadata={"language": language}))
    card = make_card(path, lambda texts: list(map(len, texts)), 31, {"cut off": 4, "format": 7})
    write_card(card, path)


def _run_folder(context: StageContext) -> None:
    rng = Random(context.name)
    with (context.folder / "metrics.jsonl").open("w") as file:
        for step in range(30):
            row = {
                "step": step,
                "rollout/pass_rate": 0.2 + 0.6 * (1 - math.exp(-step / 9)) + rng.gauss(0, 0.03),
                "rollout/mean_tokens": 50 + 2 * step + rng.gauss(0, 4),
                "language/consistency": 0.8 + rng.gauss(0, 0.02),
                "text/reflective_words_per_completion": 0.5 + step / 30,
            }
            file.write(json.dumps(row) + "\n")
    (context.folder / "report.html").write_text("<!doctype html><p>the stage's own report")


def _table(context: StageContext, path: Path) -> None:
    config = context.config
    assert isinstance(config, BenchmarksConfig)
    rng = Random(context.name)
    benchmarks = {}
    for name in config.benchmarks:
        means = {"accuracy": 0.7, "tokens": 90.0, "readability": 0.8, "language_consistency": 0.9}
        measures = {
            key: {"value": rng.gauss(mean, mean / 10), "stderr": mean / 50, "num_problems": 256}
            for key, mean in means.items()
        }
        benchmarks[name] = {"figures": {}, "measures": measures}
    table = {"label": config.label or context.name, "stage": context.name}
    write_json_atomic(path, table | {"tables": config.tables, "benchmarks": benchmarks})
