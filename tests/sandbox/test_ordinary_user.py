"""The sandbox where we are not root: started as the user nobody, by the system's Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ponder

NOBODY = 65534
SCRIPT = """
import json, os, threading
from ponder.sandbox.escapes import attempt_escapes
from ponder.sandbox.jobs import CallJob, CheckJob, Limits, ScriptJob
from ponder.sandbox.sandbox import Sandbox

told = {"user": os.getuid()}
with Sandbox(num_parallel=2) as sandbox:
    told["isolated"] = sandbox.is_isolated
    told["blocked"] = {a.name: a.is_blocked for a in attempt_escapes(sandbox)}
    told["user_inside"] = sandbox.run(ScriptJob("import os\\nprint(os.getuid())")).stdout.decode()
    told["call"] = sandbox.run(CallJob("def f(x): return x * 2", "f", "[21]")).result.decode()
    told["check"] = sandbox.run(CheckJob("x = 1", "assert x == 1")).passed
    told["imports"] = sandbox.run(ScriptJob("import asyncio, hashlib, dataclasses")).status
    told["own_file"] = sandbox.run(ScriptJob(f"open({__file__!r})")).detail
    told["descriptors"] = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        sandbox.run(ScriptJob("print(1)"))
    told["descriptors_later"] = len(os.listdir("/proc/self/fd"))
print(json.dumps(told))
"""


def _python() -> str | None:
    """A Python that any user can start, of a version that we support."""
    for found in ("/usr/bin/python3", "/usr/local/bin/python3", sys.executable):
        command = [*_as_nobody(), found, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if Path(found).exists() and subprocess.run(command, capture_output=True).returncode == 0:
            return found
    return None


def _as_nobody() -> list[str]:
    user = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    return ["setpriv", *user]


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    """What a run of SCRIPT as nobody tells."""
    if os.geteuid() != 0:
        pytest.skip("the other tests are an ordinary user's already")
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv on this machine")
    python = _python()
    if python is None:
        pytest.skip("no Python 3.11 that another user can start")
    with tempfile.TemporaryDirectory(prefix="as-nobody-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(Path(ponder.__file__).parent / "sandbox", folder / "ponder/sandbox")
        for module in ("__init__", "errors", "types"):
            shutil.copy(Path(ponder.__file__).parent / f"{module}.py", folder / "ponder")
        (folder / "script.py").write_text(SCRIPT)
        done = subprocess.run(
            [*_as_nobody(), python, str(folder / "script.py")],
            env={"PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode()
        yield json.loads(done.stdout)


class TestAsNobody:
    def test_it_is_isolated_as_that_user(self, told: dict[str, Any]) -> None:
        assert told["user"] == NOBODY
        assert told["isolated"] is True
        assert told["user_inside"] == f"{NOBODY}\n"

    def test_every_escape_is_blocked(self, told: dict[str, Any]) -> None:
        assert len(told["blocked"]) > 20
        assert [name for name, blocked in told["blocked"].items() if not blocked] == []

    def test_files_of_the_same_user_are_not_read(self, told: dict[str, Any]) -> None:
        assert told["own_file"].startswith("PermissionError")

    def test_jobs_of_each_kind_run(self, told: dict[str, Any]) -> None:
        assert (told["call"], told["check"], told["imports"]) == ("42", True, "finished")

    def test_no_descriptor_is_left(self, told: dict[str, Any]) -> None:
        assert told["descriptors_later"] == told["descriptors"]
