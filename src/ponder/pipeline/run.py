"""Running a pipeline: what is done is skipped, what changed is redone with all that follows it.

The order of writes makes kill -9 harmless. A stage's folder has key.json and state.json before its
work begins, and stage.json after its outputs are on the disk; whatever lies between is "running"
and goes on inside the stage.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ponder.errors import AlarmError, GuardError, PonderError
from ponder.pipeline import peak
from ponder.pipeline.context import NullView, StageContext, StageView, Stopped, Waiting, never
from ponder.pipeline.graph import Graph, Stage
from ponder.pipeline.keys import Parts, check_unchanged
from ponder.pipeline.resolve import in_stage
from ponder.pipeline.status import (
    Standing,
    check_outputs,
    input_digests,
    input_paths,
    pipeline_parts,
    stand,
)
from ponder.pipeline.store import PipelineFolder, StageFolder, Unfinished
from ponder.pipeline.whole import check_whole
from ponder.runlog.durable import disk_full_error

_FULL = (errno.ENOSPC, errno.EDQUOT)


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
            runner = _Runner(run, graph, stage, parts, options)
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


class _Runner:
    """One stage from its first mark to its last."""

    def __init__(
        self,
        run: PipelineFolder,
        graph: Graph,
        stage: Stage,
        parts: Mapping[str, Parts],
        options: Options,
    ) -> None:
        self._run, self._graph, self._stage, self._parts = run, graph, stage, parts
        self._mine, self._options = parts[stage.name], options
        self._folder: StageFolder = run.stage(stage.name, self._mine.key)
        self._check_inputs()
        self._inputs = input_digests(stage, run, parts)
        self._seconds, self._began = 0.0, time.monotonic()

    def run(self, view: StageView, should_stop: Callable[[], bool]) -> bool:
        """Run the stage; False if it was asked to stop and did."""
        self._drop_stale()
        resumed = self._folder.state() is not None
        with in_the_stage(self._stage.name):
            self._seconds = self._folder.begin(self._mine, self._inputs)
        self._run.set_current(self._stage.name, self._folder.key)
        self._log("resume" if resumed else "start")
        peak.begin()
        try:
            with in_the_stage(self._stage.name), self._marking_failures():
                self._stage.kind.run(self._context(view, should_stop))
                record = self._record()
                self._check_files()
                self._folder.finish(record)
        except Stopped:
            self._mark("stopped", "was asked to stop; goes on from where it was")
            return False
        self._log("done", seconds=record["seconds"])
        return True

    def _check_inputs(self) -> None:
        """Files must be what they were when the key was made, stages done and intact."""
        name = self._stage.name
        check_unchanged(self._stage, self._mine)
        for key, refs in self._stage.inputs.items():
            for ref in refs:
                if ref.path:
                    continue
                standing = stand(self._graph.stages[ref.stage], self._run, self._parts)
                check_outputs(standing)
                if not standing.is_done:
                    fix = f"stage {ref.stage} must be done first ({standing.why})"
                    raise PonderError(f"stages.{name}.inputs.{key}", str(ref), fix)

    def _drop_stale(self) -> None:
        """Work that was begun with other inputs, under the same key, is put aside."""
        record = self._folder.done() or self._folder.state()
        is_done = self._folder.done() is not None
        if record is not None and (is_done or record["inputs"] != self._inputs):
            aside = self._run.put_aside(self._folder)
            self._log("aside", path=aside.name)

    def _context(self, view: StageView, should_stop: Callable[[], bool]) -> StageContext:
        return StageContext(
            name=self._stage.name,
            key=self._folder.key,
            config=self._stage.config,
            folder=self._folder.path,
            inputs=input_paths(self._stage, self._run, self._parts),
            yes=self._options.yes,
            view=view,
            should_stop=should_stop,
        )

    def _record(self) -> dict[str, Any]:
        """What stage.json says of the stage."""
        outputs = {}
        for name, output in self._stage.kind.outputs.items():
            outputs[name] = self._folder.describe_output(output)
            if outputs[name] is None:
                where = self._folder.path / output.path
                raise GuardError(f"it ended without its output {name} ({where})")
        return {
            "key": self._folder.key,
            "kind": self._stage.kind_name,
            "inputs": self._inputs,
            "outputs": outputs,
            "seconds": self._spent(),
            "memory": peak.peak_bytes(),
            "gpu_memory": peak.gpu_peak_bytes(),
        }

    def _check_files(self) -> None:
        """What a stage made while one of its files changed is of neither version: put aside."""
        try:
            check_unchanged(self._stage, self._mine)
        except PonderError:
            self._log("aside", path=self._run.put_aside(self._folder).name)
            raise

    @contextmanager
    def _marking_failures(self) -> Iterator[None]:
        try:
            yield
        except Waiting as error:
            self._mark("waiting", error.fix)
            raise
        except (Stopped, KeyboardInterrupt):
            raise
        except Exception as error:
            ours = PonderError | GuardError | AlarmError
            text = str(error) if isinstance(error, ours) else repr(error)
            self._mark("failed", " ".join(text.split()))
            raise

    def _mark(self, state: Unfinished, why: str) -> None:
        """Say where the stage stands, as far as the disk allows."""
        with suppress(PonderError):
            if self._folder.path.is_dir():
                self._folder.write_state(state, why, self._inputs, self._spent())
            self._log(state, why=why)

    def _spent(self) -> float:
        """Seconds of the stage, without those of parts that were killed."""
        return self._seconds + time.monotonic() - self._began

    def _log(self, event: str, **details: Any) -> None:
        self._run.log(event, stage=self._stage.name, key=self._folder.key, **details)


@contextmanager
def in_the_stage(name: str) -> Iterator[None]:
    """Errors of a stage name it."""
    try:
        yield
    except Waiting as error:
        raise Waiting(f"stages.{name}.{error.field}", error.value, error.fix) from error
    except PonderError as error:
        raise in_stage(name, error) from error
    except GuardError as error:
        raise GuardError(f"stage {name}: {error}") from error
    except AlarmError as error:
        raise AlarmError(f"stage {name}: {error}") from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        path = Path(error.filename) if error.filename else Path(name)
        raise in_stage(name, disk_full_error(path)) from error
