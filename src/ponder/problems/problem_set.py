"""What building problems from a config comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from ponder.problems.audit import AuditReport
from ponder.problems.rows import Dropped
from ponder.types import ProblemSource


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """Two sources that share no question, and what was left out on the way.

    Attributes:
        dropped: rows without a usable question and reference answer, and rows that repeat one.
        num_overlapping: training rows dropped because their question is held out too.
        audits: a small audit of each procedural task.
    """

    train: ProblemSource
    heldout: ProblemSource
    dropped: list[Dropped] = field(default_factory=list)
    num_overlapping: int = 0
    audits: list[AuditReport] = field(default_factory=list)

    def notes(self, limit: int = 5) -> list[str]:
        """Lines worth showing to the user: what was dropped and what the audits found."""
        lines = [
            line for report in self.audits if not report.is_clean for line in report.lines(limit)
        ]
        if self.dropped:
            rows = "1 row" if len(self.dropped) == 1 else f"{len(self.dropped)} rows"
            lines.append(f"{rows} dropped, e.g.")
            lines += [
                f"  {row.place}: {row.reason} (answer {row.answer[:60]!r})"
                for row in self.dropped[:limit]
            ]
        if self.num_overlapping:
            lines.append(f"{self.num_overlapping} training rows dropped: they are held out too")
        return lines
