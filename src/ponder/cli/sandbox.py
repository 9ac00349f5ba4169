"""`ponder sandbox`: what isolation this machine has, and whether it holds."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from typing import Any

from rich.table import Table
from rich.text import Text

from ponder.cli.console import console
from ponder.sandbox.collect import ZygoteGone
from ponder.sandbox.escapes import Attempted, attempt_escapes
from ponder.sandbox.jobs import SandboxLost
from ponder.sandbox.probe import Probe, probe
from ponder.sandbox.sandbox import Sandbox


def run(arguments: Namespace) -> int:
    """Print what was found; exit code 1 if a piece is missing or an escape is not blocked."""
    found = probe()
    attempts: list[Attempted] = []
    trouble = ""
    if arguments.doctor and found.ok:
        try:
            with Sandbox(num_parallel=1) as sandbox:
                attempts = attempt_escapes(sandbox)
        except (SandboxLost, ZygoteGone) as error:
            trouble = str(error)
    ok = found.ok and not trouble and all(attempt.is_blocked for attempt in attempts)
    out = console()
    if arguments.json:
        out.out(json.dumps(_plain(found, attempts, trouble, ok), indent=2), highlight=False)
    else:
        out.print(_pieces(found))
        if attempts:
            out.print()
            out.print(_attempts(attempts))
        out.print()
        out.print(_verdict(found, attempts, trouble, ok))
    return 0 if ok else 1


def _plain(found: Probe, attempts: list[Attempted], trouble: str, ok: bool) -> dict[str, Any]:
    return {
        "ok": ok,
        "is_isolated": found.ok,
        "pieces": [dataclasses.asdict(piece) for piece in found.pieces],
        "attempts": [dataclasses.asdict(attempt) for attempt in attempts],
        "trouble": trouble,
    }


def _table() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _pieces(found: Probe) -> Table:
    table = _table()
    for piece in found.pieces:
        missing = "MISSING" if piece.is_needed else "no"
        word = Text("yes", "green") if piece.is_there else Text(missing, "red")
        said = piece.found if piece.is_there else f"{piece.found}: {piece.fix}"
        table.add_row(Text(piece.name), word, Text(said))
    return table


def _attempts(attempts: list[Attempted]) -> Table:
    table = _table()
    for attempt in attempts:
        good = "runs" if attempt is attempts[0] else "blocked"
        word = Text(good, "green") if attempt.is_blocked else Text("FAILED", "bold red")
        table.add_row(Text(attempt.name), word, Text(attempt.how))
    return table


def _verdict(found: Probe, attempts: list[Attempted], trouble: str, ok: bool) -> Text:
    if trouble:
        return Text(f"the sandbox does not start: {trouble}", "bold red")
    if not found.ok:
        return Text("not isolated: programs are refused (unless --unsafe)", "bold red")
    if not ok:
        return Text("an escape was not blocked: do not run programs of others here", "bold red")
    if attempts:
        return Text(f"safe: {len(attempts) - 1} of {len(attempts) - 1} escapes blocked", "green")
    return Text("isolated; try the escapes with: ponder sandbox --doctor", "green")
