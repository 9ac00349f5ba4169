"""RUN/evals: results on held-out problems, kept so that a killed run does not sample them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ponder.evals.result import EvalResult
from ponder.runlog import RunFolder, read_json, write_json_atomic
from ponder.runlog.durable import remove_stale


def evaluations_dir(run: RunFolder) -> Path:
    """Where the results of a run lie."""
    return run.path / "evals"


def is_due(step: int, last: int, every: int) -> bool:
    """Whether policy ``step`` is measured: the first, the last, every ``every`` (0: no other)."""
    return step in (0, last) or (every > 0 and step % every == 0)


class KeptEvaluations:
    """The results of one run, by the step of the policy that was measured."""

    def __init__(self, run: RunFolder) -> None:
        self.folder = evaluations_dir(run)

    def get(self, step: int) -> EvalResult | None:
        """The result of policy ``step``, if it was measured."""
        path = self._path(step)
        return EvalResult.from_json(read_json(path)) if path.exists() else None

    def once(self, step: int, measure: Callable[[], EvalResult]) -> EvalResult:
        """The result of policy ``step``, measured if it is not there."""
        result = self.get(step)
        if result is None:
            result = measure()
            write_json_atomic(self._path(step), result.to_json())
        return result

    def cut_back(self, next_step: int, resume: bool) -> None:
        """Drop what a run that goes on at ``next_step`` measures again; all where it is new."""
        remove_stale(self.folder)
        for path in self.folder.glob("step_*.json"):
            if not resume or int(path.stem.removeprefix("step_")) > next_step:
                path.unlink()

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:06d}.json"
