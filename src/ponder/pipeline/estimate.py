"""What a pipeline would take: the rows of `--dry-run`. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ponder.pipeline.graph import Graph, Ref
from ponder.pipeline.kinds import NO_PACES, Estimate, Source
from ponder.pipeline.paces import Paces
from ponder.pipeline.run import Options, again_stages, chosen_stages
from ponder.pipeline.runner import in_the_stage
from ponder.pipeline.status import Standing, pipeline_status
from ponder.pipeline.store import PipelineFolder, StageFolder


@dataclass(frozen=True, slots=True)
class Forecast:
    """A stage before it runs. ``measured``: seconds are those of the last time, not a guess."""

    standing: Standing
    about: str
    estimate: Estimate
    measured: bool


def forecast(
    graph: Graph,
    run: PipelineFolder,
    options: Options | None = None,
    paces: Paces = NO_PACES,
) -> list[Forecast]:
    """Every stage in order; with --from or --only those that would be run.

    PonderError, naming the stage, where one could not run at all. ``paces``: of models, for time on
    a CPU.
    """
    options = options or Options()
    chosen = {stage.name for stage in chosen_stages(graph, options)}
    again = again_stages(graph, options)
    found: dict[str, Forecast] = {}
    for name, standing in pipeline_status(graph, run, options.any_code).items():
        if name in again and standing.is_done:
            why = f"done, but --from {options.start} does it again"
            standing = replace(standing, state="changed", why=why)
        with in_the_stage(name):
            found[name] = _of_stage(standing, run, found, paces)
    if options.start is not None:
        chosen = {name for name, item in found.items() if not item.standing.is_done}
    return [found[name] for name in found if name in chosen]


def _of_stage(
    standing: Standing, run: PipelineFolder, before: Mapping[str, Forecast], paces: Paces
) -> Forecast:
    stage = standing.stage
    sources = {name: [_source(ref, before) for ref in refs] for name, refs in stage.inputs.items()}
    is_done = standing.is_done
    estimate = stage.kind.estimate(stage.config, sources, NO_PACES if is_done else paces)
    last = standing.folder if is_done else run.current(stage.name)
    measured = False
    if last is not None and (done := last.done()) is not None:
        measured = is_done or estimate.seconds is None or _is_same_work(standing, last)
        if measured:
            estimate = replace(estimate, seconds=done["seconds"], most_seconds=None)
    return Forecast(standing, stage.about, estimate, measured)


def _is_same_work(standing: Standing, last: StageFolder) -> bool:
    """Whether the stage differs from its last run in its code alone."""
    made = last.parts()
    return made is not None and replace(made, code={}) == replace(standing.parts, code={})


def _source(ref: Ref, before: Mapping[str, Forecast]) -> Source:
    if ref.path:
        return Source(ref.path)
    maker = before[ref.stage]
    done = maker.standing.folder.done() if maker.standing.is_done else None
    path = maker.standing.folder.path / done["outputs"][ref.output]["path"] if done else None
    return Source(path, maker.estimate)
