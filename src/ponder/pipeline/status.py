"""Where every stage stands, and why it would run. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ponder.errors import PonderError
from ponder.pipeline.digests import digest_path, size_of
from ponder.pipeline.graph import Graph, Stage
from ponder.pipeline.keys import Parts, all_parts, differences
from ponder.pipeline.store import PipelineFolder, StageFolder

State = Literal[
    "done", "new", "changed", "running", "interrupted", "stopped", "waiting", "failed", "damaged"
]
"""``interrupted``: it was running when its process ended, and goes on from where it was."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a stage stands under its key of now. ``why``: why it would run, "" if it is done."""

    stage: Stage
    state: State
    why: str
    parts: Parts
    folder: StageFolder
    seconds: float | None = None
    bytes: int | None = None

    @property
    def key(self) -> str:
        return self.folder.key

    @property
    def is_done(self) -> bool:
        return self.state == "done"


def pipeline_parts(graph: Graph, run: PipelineFolder, any_code: bool = False) -> dict[str, Parts]:
    """The parts of every stage's key.

    ``any_code``: what an older version of the source made counts as if this one had made it.
    """
    codes: dict[str, dict[str, str]] = {}
    for stage in graph if any_code else ():
        current = run.current(stage.name)
        made = current.parts() if current else None
        if made is not None:
            codes[stage.name] = made.code
    return all_parts(graph, codes)


def pipeline_status(
    graph: Graph, run: PipelineFolder, any_code: bool = False
) -> dict[str, Standing]:
    """Where every stage stands, by name."""
    parts = pipeline_parts(graph, run, any_code)
    is_live = run.is_locked()
    found: dict[str, Standing] = {}
    for stage in graph:
        again = {name for name, standing in found.items() if not standing.is_done}
        standing = stand(stage, run, parts, again, is_live)
        found[stage.name] = standing
    return found


def stand(
    stage: Stage,
    run: PipelineFolder,
    parts: Mapping[str, Parts],
    again: Collection[str] = (),
    is_live: bool = False,
) -> Standing:
    """Where one stage stands. ``again``: stages that will run before it."""
    mine = parts[stage.name]
    folder = run.stage(stage.name, mine.key)
    done = folder.done()
    state: State
    if done is not None:
        state, why = _of_done(stage, run, parts, folder, done, again)
        return Standing(stage, state, why, mine, folder, done["seconds"], _bytes_of(done))
    record = folder.state()
    if record is None:
        state, why = _of_new(run.current(stage.name), mine)
        return Standing(stage, state, why, mine, folder)
    state, why = record["state"], record["why"]
    if state == "running" and not is_live:
        state, why = "interrupted", "its process was killed; goes on from where it was"
    return Standing(stage, state, why, mine, folder, record["seconds"], size_of(folder.path))


def input_digests(
    stage: Stage, run: PipelineFolder, parts: Mapping[str, Parts]
) -> dict[str, list[str]]:
    """What every input is now: of stages the digests of their outputs, which must be done."""
    found: dict[str, list[str]] = {}
    for name, refs in stage.inputs.items():
        found[name] = []
        for number, ref in enumerate(refs):
            if ref.path:
                found[name].append(parts[stage.name].inputs[name][number][1])
                continue
            done = run.stage(ref.stage, parts[ref.stage].key).done()
            if done is None:
                fix = f"stage {ref.stage} is not done; run it first (without --only)"
                raise PonderError(f"stages.{stage.name}.inputs.{name}", str(ref), fix)
            found[name].append(done["outputs"][ref.output]["digest"])
    return found


def input_paths(
    stage: Stage, run: PipelineFolder, parts: Mapping[str, Parts]
) -> dict[str, tuple[Path, ...]]:
    """Where every input is. Its stages must be done."""
    found: dict[str, tuple[Path, ...]] = {}
    for name, refs in stage.inputs.items():
        paths: list[Path] = []
        for ref in refs:
            folder = run.stage(ref.stage, parts[ref.stage].key) if ref.stage else None
            done = folder.done() if folder else None
            if ref.path:
                paths.append(ref.path)
            elif folder and done:
                paths.append(folder.path / done["outputs"][ref.output]["path"])
        found[name] = tuple(paths)
    return found


def _of_new(current: StageFolder | None, parts: Parts) -> tuple[State, str]:
    before = current.parts() if current else None
    if before is None or before.key == parts.key:
        return "new", "not run yet"
    return "changed", "; ".join(differences(before, parts)) or "changed"


def _of_done(
    stage: Stage,
    run: PipelineFolder,
    parts: Mapping[str, Parts],
    folder: StageFolder,
    done: Mapping[str, Any],
    again: Collection[str],
) -> tuple[State, str]:
    if waited := [need for need in stage.needs if need in again]:
        return "changed", f"{', '.join(waited)} will be run before it"
    if (fault := _fault(folder, done)) is not None:
        return "damaged", fault
    now = input_digests(stage, run, parts)
    if changed := [name for name in now if now[name] != done["inputs"].get(name)]:
        return "changed", f"input {', '.join(changed)} was made again"
    return "done", ""


def _fault(folder: StageFolder, done: Mapping[str, Any]) -> str | None:
    """What is wrong with the outputs of a stage that is done, or None."""
    for name, made in done["outputs"].items():
        path = folder.path / made["path"]
        if not path.exists():
            return f"its output {name} ({made['path']}) is missing"
        size = size_of(path)
        if size != made["bytes"]:
            return f"its output {name} ({made['path']}) has {size} bytes, not {made['bytes']}"
    return None


def check_outputs(standing: Standing) -> None:
    """Refuse outputs that are not what the stage wrote. PonderError naming stage and output."""
    if standing.state != "damaged":
        return
    name = standing.stage.name
    fix = f"{standing.why}; put it back, or do the stage again: --from {name}"
    raise PonderError(f"stages.{name}.outputs", str(standing.folder.path), fix)


def check_digests(standing: Standing) -> None:
    """Read the outputs whole and compare (``check_outputs`` compares sizes)."""
    done = standing.folder.done()
    assert done is not None
    for name, made in done["outputs"].items():
        path = standing.folder.path / made["path"]
        if digest_path(path) != made["digest"]:
            fix = f"is not what the stage wrote; put it back, or use --from {standing.stage.name}"
            raise PonderError(f"stages.{standing.stage.name}.outputs.{name}", str(path), fix)


def _bytes_of(done: Mapping[str, Any]) -> int:
    return sum(made["bytes"] for made in done["outputs"].values())
