"""Running one stage, from its first mark to its last.

The order of writes makes kill -9 harmless. A stage's folder has key.json and state.json before its
work begins, and stage.json after its outputs are on the disk; whatever lies between is "running"
and goes on inside the stage.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ponder.errors import AlarmError, GuardError, PonderError
from ponder.pipeline import peak
from ponder.pipeline.context import StageContext, StageView, Stopped, Waiting
from ponder.pipeline.graph import Graph, Stage
from ponder.pipeline.keys import Parts, check_unchanged
from ponder.pipeline.resolve import in_stage
from ponder.pipeline.status import check_outputs, input_digests, input_paths, stand
from ponder.pipeline.store import PipelineFolder, StageFolder, Unfinished
from ponder.runlog.durable import disk_full_error

_FULL = (errno.ENOSPC, errno.EDQUOT)


class StageRunner:
    """A stage that is about to run.

    Args:
        parts: of all stages' keys.
        yes: nothing waits for a person.

    Raises:
        PonderError: an input is not done, not intact, or not what it was when the key was made.
    """

    def __init__(
        self,
        run: PipelineFolder,
        graph: Graph,
        stage: Stage,
        parts: Mapping[str, Parts],
        yes: bool,
    ) -> None:
        self._run, self._graph, self._stage, self._parts = run, graph, stage, parts
        self._mine, self._yes = parts[stage.name], yes
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
            yes=self._yes,
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
