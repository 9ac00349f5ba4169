"""Small kinds of stages for tests: numbers are "models", lines are "rows". No torch.

Everything that they do goes through files, and a stage can be killed at a named moment:
``KILL=NAME:MOMENT`` in the environment kills the process (kill -9) when stage NAME is there.
Run as a program (``python -m tests.pipeline.fakes RUN RECIPE [OPTION=VALUE ...]``) it is a
pipeline in a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from ponder.config.base import Config
from ponder.config.pipeline import load_pipeline
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext, Waiting
from ponder.pipeline.graph import Graph, build_graph
from ponder.pipeline.kinds import NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.run import Options, run_pipeline
from ponder.pipeline.store import PipelineFolder
from ponder.runlog import CheckpointStore, write_json_atomic
from ponder.runlog.checkpoint import checkpoint_step


class GrowConfig(Config):
    """A "model" is a number; each step adds ``rate`` times the step."""

    name: str = "grow"
    out: Path | None = None
    steps: int = Field(default=3, ge=1)
    """Steps."""
    rate: float = 1.0
    """Added per step."""
    start: float = 0.0
    """Without a model."""
    seed: int = 0
    """Added once."""
    data: Path | None = None
    """A file of the config."""
    fault: str = ""
    """How it goes wrong."""


class WriteConfig(Config):
    """Rows of a model."""

    name: str = "write"
    num_rows: int = 4
    """How many."""
    waits: bool = False
    """For a person."""


def moment(context: StageContext, name: str) -> None:
    """Die here if the test asks for it."""
    if os.environ.get("KILL") == f"{context.name}:{name}":
        os.kill(os.getpid(), signal.SIGKILL)


def grow(context: StageContext) -> None:
    """Steps with a checkpoint after each."""
    config = context.config
    assert isinstance(config, GrowConfig)
    moment(context, "begin")
    store = CheckpointStore(context.folder / "checkpoints")
    store.clean()
    latest = store.latest()
    step, value = 0, config.start + config.seed
    for model in context.all("model"):
        value += float((model / "value").read_text())
    for rows in context.all("rows"):
        value += len(rows.read_bytes().splitlines())
    if latest is not None:
        step, value = checkpoint_step(latest), float((latest / "value").read_text())
    while step < config.steps:
        context.stop_if_asked()
        with (context.folder / "steps.txt").open("a") as file:
            file.write(f"{step}\n")
        _go_wrong(config.fault, step, context)
        value += config.rate * step
        step += 1
        text = repr(value)
        store.save(step, lambda folder, text=text: _write(folder / "value", text))
        context.view.progress(step, config.steps, f"value {value}")
        moment(context, f"step{step}")
    moment(context, "end")
    write_json_atomic(context.folder / "summary.json", {"value": value})
    moment(context, "summary")


def _go_wrong(fault: str, step: int, context: StageContext) -> None:
    if step != 1 or not fault or (context.folder / "mended").exists():
        return
    if fault == "disk":
        raise OSError(28, "No space left on device", str(context.folder / "value"))
    if fault == "bug":
        raise ZeroDivisionError("by a bug")
    if fault.startswith("touch:"):
        Path(fault.removeprefix("touch:")).write_text("changed\n")
        return
    raise PonderError("rate", 1.0, fault)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def write(context: StageContext) -> None:
    """Rows, whole or not at all."""
    config = context.config
    assert isinstance(config, WriteConfig)
    if config.waits and not context.yes and not (context.folder / "marked").exists():
        raise Waiting("review", str(context.folder), "mark the rows to keep, then run again")
    value = float((context.input("model") / "value").read_text())
    part = context.folder / "rows.jsonl.part"
    with part.open("w") as file:
        for number in range(config.num_rows):
            file.write(json.dumps({"id": number, "value": value}) + "\n")
            moment(context, f"row{number}")
    moment(context, "part")
    os.replace(part, context.folder / "rows.jsonl")
    moment(context, "end")


def measure(context: StageContext) -> None:
    """One number for all models."""
    values = [float((model / "value").read_text()) for model in context.all("model")]
    moment(context, "begin")
    write_json_atomic(context.folder / "table.json", {"values": values})
    moment(context, "end")


def _estimate(config: Any, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    return Estimate(seconds=float(getattr(config, "steps", 1)), bytes=1000, rows=10, memory=2**20)


CODE = ("tests.pipeline.fakes",)
KINDS: dict[str, StageKind] = {
    "grow": StageKind(
        config_class=GrowConfig,
        inputs={
            "model": Input("model", optional=True),
            "rows": Input("rows", optional=True, many=True),
        },
        outputs={"model": Output("model", "checkpoints")},
        run=grow,
        estimate=_estimate,
        describe=lambda config: f"{config.steps} steps",
        code=CODE,
        unhashed=("name", "out", "fault"),
    ),
    "write": StageKind(
        config_class=WriteConfig,
        inputs={"model": Input("model")},
        outputs={"rows": Output("rows", "rows.jsonl")},
        run=write,
        estimate=_estimate,
        describe=lambda config: f"{config.num_rows} rows",
        code=CODE,
    ),
    "measure": StageKind(
        config_class=Config,
        inputs={"model": Input("model", many=True)},
        outputs={"table": Output("table", "table.json")},
        run=measure,
        estimate=_estimate,
        describe=lambda config: "one number",
        code=CODE,
    ),
}

RECIPE = """\
kind = "pipeline"
[stages.zero]
kind = "grow"
steps = 3
[stages.cold]
kind = "write"
inputs = {model = "zero"}
[stages.dev]
kind = "grow"
inputs = {model = "zero", rows = "cold"}
steps = 2
[stages.table]
kind = "measure"
inputs = {model = ["zero", "dev"]}
"""


def graph_of(path: Path, text: str = RECIPE, overrides: tuple[str, ...] = ()) -> Graph:
    """The graph of a recipe written to ``path``."""
    path.write_text(text)
    return build_graph(load_pipeline(path, overrides), KINDS)


def with_code(kinds: dict[str, StageKind], **code: tuple[str, ...]) -> dict[str, StageKind]:
    """The kinds with other code."""
    return {n: replace(k, code=code.get(n, k.code)) for n, k in kinds.items()}


def main() -> None:
    run, recipe, *arguments = sys.argv[1:]
    options = Options(**json.loads(arguments[0])) if arguments else Options()
    graph = build_graph(load_pipeline(recipe, arguments[1:]), KINDS)
    run_pipeline(PipelineFolder.create(Path(run)), graph, options)


if __name__ == "__main__":
    main()
