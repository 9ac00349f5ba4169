"""The suite as an ordinary user: by the system's Python, on a copy that everybody may read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PYTHON = "/usr/bin/python3"
_AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def obstacle() -> str:
    """Why the suite cannot run as another user here, or ""."""
    if os.geteuid() != 0:
        return "this is an ordinary user already"
    if shutil.which("setpriv") is None:
        return "there is no setpriv (Debian: apt install util-linux)"
    if not Path(PYTHON).exists():
        return f"there is no {PYTHON}"
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([PYTHON, "-c", test]).returncode:
        return f"{PYTHON} is older than 3.11"
    return ""


def run_as_user(copy: Path, *options: str) -> list[dict[str, Any]]:
    """The reports of the runner, from a fresh copy in an empty folder.

    Raises RuntimeError if the runner failed before its end.
    """
    for part in ("src/ponder", "tests/sandbox/attacks"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("*.pyc"))
    subprocess.run(["chmod", "-R", "a+rX", str(copy)], check=True)
    done = subprocess.run(
        [*_AS_NOBODY, PYTHON, "-B", "-m", "tests.sandbox.attacks.runner", *options],
        cwd=copy,
        env={"PYTHONPATH": f"{copy}/src:{copy}", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(done.stderr[-2000:])
    return [json.loads(line) for line in done.stdout.splitlines()]
