"""A stage table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ponder.pipeline.table import StageTable, to_rich


def print_table(out: Console, title: str, table: StageTable) -> None:
    """Under its title, in as many parts as the terminal's width needs."""
    out.print(Text(title, style="bold underline"))
    for number, part in enumerate(to_rich(table, out.width)):
        if number:
            out.print()
        out.print(part)
