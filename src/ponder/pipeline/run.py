"""Running a pipeline: what is done is skipped, what changed is redone with all that follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ponder.errors import PonderError
from ponder.pipeline.context import NullView, StageView, never
from ponder.pipeline.graph import Graph, Stage
from ponder.pipeline.keys import Parts
from ponder.pipeline.runner import StageRunner
from ponder.pipeline.status import Standing, check_outputs, pipeline_parts, stand
from ponder.pipeline.store import PipelineFolder
from ponder.pipeline.whole import check_whole


class PipelineView(StageView, Protocol):
    """What a pipeline tells the person who watches it."""

    def on_skip(self, standing: Standing) -> None:
        """A stage is done already."""

    def on_start(self, standing: Standing, number: int, total: int) -> None:
        """A stage begins or goes on."""

    def on_done(self, standing: Standing) -> None:
        """A stage is done."""


class SilentView(NullView):
    """Tells nothing."""

    def on_skip(self, standing: Standing) -> None: ...

    def on_start(self, standing: Standing, number: int, total: int) -> None: ...

    def on_done(self, standing: Standing) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    Args:
        start: do this stage and all that follow it again, even if done.
        only: this stage alone; what it needs must be done.
        yes: nothing waits for a person.
        prune: at the end delete the outputs that the recipe of now does not have.
        any_code: take what older code made as it is.
    """

    start: str | None = None
    only: str | None = None
    yes: bool = False
    prune: bool = False
    any_code: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. ``stopped``: the stage that was asked to stop, if one was."""

    stopped: str | None
    freed: int = 0


def run_pipeline(
    run: PipelineFolder,
    graph: Graph,
    options: Options | None = None,
    view: PipelineView | None = None,
    should_stop: Callable[[], bool] = never,
) -> Outcome:
    """Run every stage that is not done.

    Raises:
        PonderError: a mistake to mend, its field naming the stage; what is done stays done, and
            the next call goes on inside the stage.
        GuardError: a stage found itself broken.
        AlarmError: an alarm ended a stage's run; the next call goes on with it all the same.
    """
    options, view = options or Options(), view or SilentView()
    chosen = chosen_stages(graph, options)
    with run.lock():
        run.write_toml(graph.to_toml())
        parts = pipeline_parts(graph, run, options.any_code)
        _check_files(chosen, run, parts)
        _put_done_aside(run, graph, options, parts)
        for number, stage in enumerate(chosen, start=1):
            if should_stop():
                return Outcome(stage.name)
            standing = stand(stage, run, parts)
            check_outputs(standing)
            if standing.is_done:
                run.set_current(stage.name, standing.key)
                run.log("skip", stage=stage.name, key=standing.key)
                view.on_skip(standing)
                continue
            view.on_start(standing, number, len(chosen))
            runner = StageRunner(run, graph, stage, parts, options.yes)
            if not runner.run(view, should_stop):
                return Outcome(stage.name)
            view.on_done(stand(stage, run, parts))
        run.log("end")
        freed = _prune(run, parts) if options.prune else 0
    return Outcome(None, freed)


def chosen_stages(graph: Graph, options: Options) -> Sequence[Stage]:
    """The stages that a run goes through. PonderError: no such stage, or --from beside --only."""
    if options.only is not None and options.start is not None:
        raise PonderError("--only", options.only, "give --from or --only, not both")
    if options.start is not None:
        graph.stage(options.start, "--from")
    return list(graph) if options.only is None else [graph.stage(options.only, "--only")]


def again_stages(graph: Graph, options: Options) -> set[str]:
    """The stages that --from does again: the one that it names and its followers."""
    if options.start is None:
        return set()
    return {options.start, *(stage.name for stage in graph.followers(options.start))}


def _check_files(chosen: Sequence[Stage], run: PipelineFolder, parts: Mapping[str, Parts]) -> None:
    """Half-written input files are told before anything runs, not hours later."""
    for stage in chosen:
        if run.stage(stage.name, parts[stage.name].key).done() is not None:
            continue
        for name, refs in stage.inputs.items():
            for ref in refs:
                if ref.path:
                    check_whole(f"stages.{stage.name}.inputs.{name}", ref.path)


def _put_done_aside(
    run: PipelineFolder, graph: Graph, options: Options, parts: Mapping[str, Parts]
) -> None:
    """For --from: the followers first, so that a kill half way leaves a state that makes sense."""
    if options.start is None:
        return
    first = graph.stages[options.start]
    for stage in [*reversed(graph.followers(first.name)), first]:
        folder = run.stage(stage.name, parts[stage.name].key)
        if folder.done() is not None:
            run.log("aside", stage=stage.name, path=run.put_aside(folder).name)


def _prune(run: PipelineFolder, parts: Mapping[str, Parts]) -> int:
    freed = run.prune({name: part.key for name, part in parts.items()})
    run.log("prune", bytes=freed)
    return freed
