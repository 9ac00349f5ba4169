"""`ponder pipeline compare`: the stage table over several runs, and what its columns differ by."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.text import Text

from ponder.cli.console import console
from ponder.cli.outfile import check_can_be_file, write_json
from ponder.cli.stage_table import print_table
from ponder.pipeline.compare import Comparison, compare
from ponder.pipeline.table import StageTable, to_markdown


def run(arguments: Namespace) -> int:
    """Print the means over the runs, and write them where that is asked for."""
    if arguments.json is not None:
        check_can_be_file("--json", arguments.json)
    found = compare(arguments.runs)
    tables = dict(found.tables)
    if arguments.difference:
        tables["Differences"] = StageTable([found.difference(*two) for two in arguments.difference])
    out = console()
    number = len(found.runs)
    errors = "means ± their standard errors" if number > 1 else "one of them has no error"
    out.print(f"runs: {number}; {errors}")
    for path in found.changed:
        note = (
            f"{path}: tables made with other settings than its pipeline.toml, or by another Ponder"
        )
        out.print(Text(note), soft_wrap=True)
    for title, table in tables.items():
        out.print()
        if arguments.markdown:
            out.out(f"**{title}**\n\n{to_markdown(table)}", highlight=False, end="")
        else:
            print_table(out, title, table)
    if arguments.json is not None:
        write_json(arguments.json, _as_json(found))
    return 0


def _as_json(found: Comparison) -> dict[str, Any]:
    """Runs, and by column, measure and benchmark the figure of each of them."""
    columns: dict[str, Any] = {}
    for label, figures in found.figures.items():
        for (measure, benchmark), values in figures.items():
            columns.setdefault(label, {}).setdefault(measure, {})[benchmark] = list(values)
    runs, changed = (list(map(str, paths)) for paths in (found.runs, found.changed))
    return {"runs": runs, "changed": changed, "columns": columns}
