"""`ponder audit`: every reference answer of a source must verify, and nonsense earn nothing."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from ponder.cli.console import console, shown
from ponder.cli.outfile import check_can_be_file, write_json
from ponder.cli.specs import parse_problems
from ponder.config.rl import ProblemsConfig
from ponder.problems.audit import AuditFailure, AuditReport, audit
from ponder.problems.kinds import source_kind
from ponder.problems.procedural import task_source
from ponder.problems.rows import Dropped
from ponder.problems.sources import ListSource
from ponder.problems.tabular import every_row
from ponder.types import Judgement, Problem, ProblemSource, Verdict
from ponder.verify.verifier_pool import VerifierPool

CLEAN, FAILED = 0, 1
MOST_FAILURES_SHOWN = 30
TASK_PROBLEMS = 500
"""Problems of a reasoning-gym task, which has no end, unless --num says otherwise."""
DEADLINE_SECONDS = 10.0
"""For one answer: an audit is patient, so that what fails here is not the machine's load."""


def run(arguments: Namespace) -> int:
    """Probe, print, and write the JSON if one was asked for; 1 if something failed."""
    if arguments.json is not None:
        check_can_be_file("--json", arguments.json)
    config = parse_problems(arguments.dataset, "DATASET")
    source, unreadable = open_source(config, arguments.num)
    out = console()
    began = time.perf_counter()
    report = _with_unreadable(_audit(source, out), unreadable)
    seconds = time.perf_counter() - began
    _print(report, seconds, out)
    if arguments.json is not None:
        told = to_json(report, seconds) | {"dataset": arguments.dataset}
        write_json(arguments.json, told)
        out.print(Text(f"written to {arguments.json}"), soft_wrap=True)
    return CLEAN if report.is_clean else FAILED


def open_source(config: ProblemsConfig, num: int | None) -> tuple[ProblemSource, list[Dropped]]:
    """The problems to be probed, nothing verified yet, and the rows that cannot be read at all."""
    if source_kind(config) == "task":
        size = num or TASK_PROBLEMS
        return task_source(config.model_copy(update={"size": size}), seed=0), []
    rows = every_row(config)
    name = config.name or config.hub or str(config.path)
    problems = [_patient(problem) for problem in rows.problems[:num]]
    return ListSource(name, problems), rows.dropped if num is None else []


def _patient(problem: Problem) -> Problem:
    """A program has all of the deadline for a test, unless the problem itself says how long."""
    return replace(problem, metadata={"time_seconds": DEADLINE_SECONDS, **problem.metadata})


def _audit(source: ProblemSource, out: Console) -> AuditReport:
    with (
        VerifierPool(deadline_seconds=DEADLINE_SECONDS) as pool,
        Progress(console=out, transient=True, disable=not out.is_terminal) as progress,
    ):
        bar = progress.add_task("verifying", total=len(source))
        return audit(
            source, len(source), pool.judge_all, lambda done: progress.update(bar, completed=done)
        )


def _with_unreadable(report: AuditReport, unreadable: list[Dropped]) -> AuditReport:
    """Rows that are no problems at all count as problems that failed."""
    failures = [
        AuditFailure(row.place, "reading", Judgement(Verdict.ERROR, row.answer, row.reason))
        for row in unreadable
    ]
    return replace(
        report,
        num_problems=report.num_problems + len(failures),
        failures=(*failures, *report.failures),
    )


def _print(report: AuditReport, seconds: float, out: Console) -> None:
    if not report.is_clean:
        out.print(_table(report.failures[:MOST_FAILURES_SHOWN]))
        if (left := len(report.failures) - MOST_FAILURES_SHOWN) > 0:
            out.print(Text(f"... and {left:,} more; --json PATH has all of them"))
    counts = ", ".join(f"{probe} {count:,}" for probe, count in report.counts().items())
    verdict = f"judged wrongly: {counts}" if counts else "every probe judged rightly"
    line = f"{report.source}: {report.num_problems:,} problems in {seconds:.1f} s, {verdict}"
    out.print(Text(line, style="bold"), soft_wrap=True)


def _table(failures: tuple[AuditFailure, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("problem", "probe", "verdict", "answer", "why"):
        table.add_column(name, overflow="fold")
    for failure in failures:
        judgement = failure.judgement
        cells = [failure.problem_id, failure.probe, judgement.verdict.value]
        cells += [_short(judgement.answer or "", 50), _short(judgement.reason, 100)]
        table.add_row(*map(Text, cells))
    return table


def _short(text: str, length: int) -> str:
    line = shown(" ".join(text.split()))
    return line if len(line) <= length else line[: length - 3] + "..."


def to_json(report: AuditReport, seconds: float) -> dict[str, Any]:
    """The report as plain data; ``counts`` are failures by probe."""
    return {
        "source": report.source,
        "num_problems": report.num_problems,
        "num_failures": len(report.failures),
        "counts": report.counts(),
        "seconds": round(seconds, 3),
        "failures": [
            {
                "id": failure.problem_id,
                "probe": failure.probe,
                "verdict": failure.judgement.verdict.value,
                "answer": failure.judgement.answer,
                "reason": failure.judgement.reason,
            }
            for failure in report.failures
        ],
    }
