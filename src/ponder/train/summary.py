"""What a run amounted to: RUN/summary.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.evals.result import EvalResult


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a run.

    ``before`` and ``after`` are the held-out evaluations of policy 0 and of the last policy (None
    where ``eval.num_problems`` is 0, and ``after`` where the run was stopped early). ``seconds`` is
    wall time since the model was loaded, evaluations included; of an interrupted
    run it is the sum over its parts, without what was lost between a checkpoint and a kill.
    """

    name: str
    steps: int
    finished: bool
    seconds: float
    before: EvalResult | None
    after: EvalResult | None
    run_path: Path
    model_path: Path

    def to_json(self) -> dict[str, Any]:
        """{"steps": n, "before": {"pass@1": x, "stderr": s, ...}, "after": {...}, ...}."""
        return {
            "name": self.name,
            "steps": self.steps,
            "finished": self.finished,
            "seconds": self.seconds,
            "before": _figures(self.before),
            "after": _figures(self.after),
            "model": str(self.model_path.relative_to(self.run_path)),
        }


def _figures(result: EvalResult | None) -> dict[str, Any] | None:
    return result.figures() | {"by_style": result.by_style()} if result else None
