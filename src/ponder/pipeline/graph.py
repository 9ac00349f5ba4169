"""The stages of a pipeline in an order in which they can run, every input checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from ponder.config.base import Config
from ponder.config.fields import closest
from ponder.config.pipeline import PipelineRecipe, StageTable
from ponder.errors import PonderError
from ponder.pipeline.kinds import Input, StageKind
from ponder.pipeline.resolve import check_common, resolve_config

FILE_TYPES = (".jsonl", ".json", ".zst", ".parquet", ".toml")


@dataclass(frozen=True, slots=True)
class Ref:
    """One input: an output of a stage, or a file or folder."""

    stage: str = ""
    output: str = ""
    path: Path | None = None

    def __str__(self) -> str:
        return str(self.path) if self.path else f"{self.stage}.{self.output}"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage with all its settings."""

    name: str
    kind_name: str
    kind: StageKind
    config: Config
    inputs: Mapping[str, tuple[Ref, ...]]

    @property
    def about(self) -> str:
        """What it does, in a few words."""
        said = (self.kind.inputs[name].describe for name, refs in self.inputs.items() if refs)
        describe = next(filter(None, said), self.kind.describe)
        return describe(self.config)

    @property
    def needs(self) -> list[str]:
        """The stages that it reads from."""
        found = [ref.stage for refs in self.inputs.values() for ref in refs if ref.stage]
        return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Graph:
    """Stages by name, each after those that it needs."""

    name: str
    stages: Mapping[str, Stage]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages.values())

    def stage(self, name: str, option: str) -> Stage:
        """A stage by name; PonderError, naming ``option``, where there is none."""
        if name not in self.stages:
            near = closest(name, self.stages)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(self.stages)}"
            raise PonderError(option, name, f"no such stage; {hint}")
        return self.stages[name]

    def followers(self, name: str) -> list[Stage]:
        """The stages that read from ``name``, directly or not, in order."""
        found = {name}
        for stage in self:
            if found.intersection(stage.needs):
                found.add(stage.name)
        return [stage for stage in self if stage.name in found - {name}]

    def to_toml(self) -> str:
        """The whole pipeline with every setting resolved: itself a recipe."""
        stages = {stage.name: _stage_to_table(stage) for stage in self}
        return tomli_w.dumps({"kind": "pipeline", "name": self.name, "stages": stages})


def build_graph(pipeline: PipelineRecipe, kinds: Mapping[str, StageKind]) -> Graph:
    """Resolve and check every stage.

    Raises:
        PonderError: an unknown kind, setting or input, an input of the wrong type, a circle; its
            field names the stage.
    """
    known = {table.name: _kind_of(table, kinds) for table in pipeline.stages.values()}
    check_common(pipeline, {name: kind.config_class for name, kind in known.items()})
    stages = {
        name: Stage(
            name,
            table.kind,
            known[name],
            resolve_config(pipeline, table, known[name]),
            _inputs_of(table, known),
        )
        for name, table in pipeline.stages.items()
    }
    return Graph(pipeline.config.name, {name: stages[name] for name in _sorted(stages)})


def _kind_of(table: StageTable, kinds: Mapping[str, StageKind]) -> StageKind:
    if table.kind not in kinds:
        near = closest(table.kind, kinds)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(kinds)}"
        raise PonderError(f"stages.{table.name}.kind", table.kind, f"no such kind; {hint}")
    return kinds[table.kind]


def _inputs_of(table: StageTable, kinds: Mapping[str, StageKind]) -> dict[str, tuple[Ref, ...]]:
    wanted = kinds[table.name].inputs
    for name in table.inputs:
        if name not in wanted:
            near = closest(name, wanted)
            has = ", ".join(wanted) or "none"
            hint = f"did you mean {near}?" if near else f"a stage of kind {table.kind} has: {has}"
            raise PonderError(f"stages.{table.name}.inputs.{name}", name, f"no such input; {hint}")
    found: dict[str, tuple[Ref, ...]] = {}
    for name, spec in wanted.items():
        field = f"stages.{table.name}.inputs.{name}"
        values = table.inputs.get(name, ())
        if not values and not spec.optional:
            fix = f"a stage of kind {table.kind} needs this input ({spec.type}): name a stage"
            raise PonderError(field, None, fix)
        if len(values) > 1 and not spec.many:
            raise PonderError(field, list(values), "takes one, not a list")
        if values:
            found[name] = tuple(_ref(field, value, spec, kinds) for value in values)
    return found


def _ref(field: str, value: str, spec: Input, kinds: Mapping[str, StageKind]) -> Ref:
    if os.sep in value or Path(value).suffix in FILE_TYPES:
        return _file(field, value)
    stage, _, output = value.partition(".")
    if stage not in kinds:
        near = closest(stage, kinds)
        hint = f"did you mean {near}?" if near else f"stages: {', '.join(kinds)}"
        raise PonderError(field, value, f"no such stage; {hint}; a file is a path with a /")
    outputs = kinds[stage].outputs
    if output and output not in outputs:
        fix = f"stage {stage} makes no {output}; it makes {', '.join(outputs) or 'nothing'}"
        raise PonderError(field, value, fix)
    fitting = [
        name for name in ([output] if output else outputs) if outputs[name].type == spec.type
    ]
    if not fitting:
        makes = ", ".join(f"{name} ({made.type})" for name, made in outputs.items()) or "nothing"
        fix = f"this input must be {spec.type}, but stage {stage} makes {makes}"
        raise PonderError(field, value, fix)
    return Ref(stage, fitting[0])


def _file(field: str, value: str) -> Ref:
    path = Path(value).expanduser()
    if path.suffix == ".part":
        raise PonderError(field, value, "this file is still being written; wait for its end")
    return Ref(path=path.absolute())


def _sorted(stages: Mapping[str, Stage]) -> list[str]:
    """Names, each after what it needs, otherwise as the recipe has them."""
    done: list[str] = []
    left = list(stages)
    while left:
        ready = next((n for n in left if all(need in done for need in stages[n].needs)), None)
        if ready is None:
            circle = _circle(stages, left[0])
            fix = f"these stages need each other: {' -> '.join(circle)}; break the circle"
            raise PonderError(f"stages.{circle[0]}.inputs", circle[1], fix)
        done.append(ready)
        left.remove(ready)
    return done


def _circle(stages: Mapping[str, Stage], start: str) -> list[str]:
    """A circle of needs, its first name again at its end; ``start`` leads into one."""
    path = [start]
    ended: set[str] = set()
    while True:
        step = next((n for n in stages[path[-1]].needs if n not in ended), None)
        if step is None:
            ended.add(path.pop())
        elif step in path:
            return [*path[path.index(step) :], step]
        else:
            path.append(step)


def _stage_to_table(stage: Stage) -> dict[str, Any]:
    settings = stage.config.model_dump(mode="json", exclude_none=True)
    settings.pop("kind", None)
    settings.pop("out", None)
    inputs = {
        name: str(refs[0]) if len(refs) == 1 else [str(ref) for ref in refs]
        for name, refs in stage.inputs.items()
    }
    return {"kind": stage.kind_name, "inputs": inputs} | settings
