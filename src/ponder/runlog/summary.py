"""Small JSON files, replaced as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.runlog.durable import write_atomic


def write_json_atomic(path: Path, obj: Any) -> None:
    """Write ``obj`` as indented JSON; non-finite floats are refused (ValueError)."""
    text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        PonderError: there is no such file, or it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PonderError("path", str(path), "there is no such file") from error
    except ValueError as error:
        raise PonderError("path", str(path), f"this is not JSON ({error})") from error
