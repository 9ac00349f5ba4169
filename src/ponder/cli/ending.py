"""The end of a run: before and after, and where everything is."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ponder.cli.console import clock_time
from ponder.cli.figures import percent, result_rows, style_rows
from ponder.report.html import write_report
from ponder.train.reward.summary import RewardSummary
from ponder.train.sft.summary import SFTSummary
from ponder.train.summary import Summary


def print_ending(summary: Summary, out: Console) -> None:
    """Print the table, write the report of a finished run, print the paths."""
    out.print()
    if summary.before is not None and summary.after is not None:
        out.print(before_after(summary))
        out.print()
    for name, value in (*_own_lines(summary), *_paths(summary)):
        out.print(Text.assemble((f"{name:<8}", "bold"), value), soft_wrap=True)


def before_after(summary: Summary) -> Table:
    """The held-out figures before and after, side by side."""
    assert summary.before is not None
    assert summary.after is not None
    before = summary.before.figures()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{before['num_problems']} held-out problems", no_wrap=True)
    table.add_column("before", justify="right", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True, style="bold")
    after = result_rows(summary.after.figures()) | style_rows(summary.after.by_style())
    for name, value in (result_rows(before) | style_rows(summary.before.by_style())).items():
        table.add_row(Text(name), Text(value), Text(after.get(name, "-")))
    return table


def _own_lines(summary: Summary) -> list[tuple[str, str]]:
    if isinstance(summary, SFTSummary):
        return _losses(summary)
    return _preference(summary) if isinstance(summary, RewardSummary) else []


def _preference(summary: RewardSummary) -> list[tuple[str, str]]:
    data = summary.data
    found = [("learnt", f"{data['examples']:,} examples ({summary.objective})")]
    if data["too_long"]:
        found.append(("long", f"{data['too_long']:,} left out"))
    if summary.accuracy is not None:
        before, after, stderr = summary.accuracy
        of = f"of {data['heldout_examples']:,} held-out examples"
        found.append(("right", f"{percent(before, None)} -> {percent(after, stderr)} {of}"))
    if summary.longer is not None:
        scored, chosen = summary.longer
        told = f"{percent(scored, None)} of pairs (the longer was chosen in "
        found.append(("longer", f"preferred in {told}{percent(chosen, None)})"))
    return found


def _losses(summary: SFTSummary) -> list[tuple[str, str]]:
    data = summary.data
    found = [("learnt", f"{data['samples']:,} samples, {data['completion_tokens']:,} tokens")]
    if data["dropped"] or data["truncated"]:
        found.append(("long", f"{data['dropped']:,} left out, {data['truncated']:,} cut"))
    if summary.first_loss is not None and summary.last_loss is not None:
        found.append(("loss", f"{summary.first_loss:.4f} -> {summary.last_loss:.4f} nats a token"))
    if summary.heldout_loss is not None:
        before, after = summary.heldout_loss
        found.append(("heldout", f"{before:.4f} -> {after:.4f} nats a token"))
    return found


def _paths(summary: Summary) -> list[tuple[str, str]]:
    run = summary.run_path
    spent = f"{summary.steps} steps in {clock_time(summary.seconds)}"
    if not summary.finished:
        return [
            ("stopped", f"{spent}; the checkpoint is written"),
            ("run", str(run)),
            ("resume", f"ponder train --resume {run}"),
        ]
    found = [
        ("done", spent),
        ("run", str(run)),
        ("report", str(write_report(run))),
        ("model", str(summary.model_path)),
    ]
    writes = not isinstance(summary, RewardSummary)
    return [*found, ("talk", f"ponder chat {run}")] if writes else found
