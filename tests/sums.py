"""A tiny random model and the sums of two digits, as files: what most runs of tests train on."""

from __future__ import annotations

import json
from pathlib import Path

from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model


def write_sums(path: Path) -> None:
    """81 problems."""
    rows = [{"question": f"{a} + {b} =", "answer": str(a + b)} for a in range(9) for b in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_inputs(folder: Path) -> None:
    """FOLDER/model and FOLDER/problems.jsonl."""
    save_model(*make_tiny_model(0), folder / "model")
    write_sums(folder / "problems.jsonl")
