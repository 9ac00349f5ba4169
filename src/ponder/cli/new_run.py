"""The folder of a run that begins, and what its command returns when it is stopped."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ponder.runlog.folder import RunFolder

INTERRUPTED = 130
"""The exit code of a run that was asked to stop and did."""


def new_run_path(name: str) -> Path:
    """runs/NAME-TIME, which does not exist yet."""
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = Path("runs") / stem, 2
    while path.exists():
        path, number = Path("runs") / f"{stem}-{number}", number + 1
    return path


def discard_unused(folder: RunFolder, existed: bool) -> None:
    """Remove the folder of a run that failed before its first step, so that a retry may have it."""
    used = [folder.checkpoints_dir, folder.rollouts_dir]
    if any(any(part.iterdir()) for part in used if part.is_dir()):
        return
    if existed:
        folder.config_path.unlink(missing_ok=True)
        folder.metrics_path.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder.path, ignore_errors=True)
