"""Files that a command is asked to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors


def check_can_be_file(option: str, path: Path) -> None:
    """Minutes of work must not end at a path that cannot be a file: PonderError in time."""
    if path.is_dir():
        raise PonderError(option, str(path), "this is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise PonderError(option, str(path), "there is no such folder; make it first")


def write_json(path: Path, told: dict[str, Any]) -> None:
    """Indented JSON; PonderError for a full disk and the like."""
    with disk_errors(path):
        path.write_text(json.dumps(told, indent=2, allow_nan=False) + "\n")
