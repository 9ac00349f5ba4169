"""`ponder report RUN`: write the run's HTML report."""

from __future__ import annotations

from argparse import Namespace

from ponder.cli.console import console
from ponder.cli.specs import run_folder
from ponder.report.html import write_report


def run(arguments: Namespace) -> int:
    """Write the report and print its path."""
    console().out(str(write_report(run_folder(arguments.run))), highlight=False)
    return 0
