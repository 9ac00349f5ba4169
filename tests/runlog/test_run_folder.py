import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ponder.errors import PonderError
from ponder.runlog import RunFolder

_HOLD = """
import sys, time
from pathlib import Path
from ponder.runlog import RunFolder
with RunFolder.open(Path(sys.argv[1])).lock():
    {extra}
    print("held", flush=True)
    time.sleep(60)
"""
_FORK = "import os\n    if os.fork() == 0: time.sleep(60)"


def _hold(path: Path, extra: str = "pass") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD.format(extra=extra), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_create_then_open(tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path / "runs" / "a", "seed = 0\n")
    run = RunFolder.open(tmp_path / "runs" / "a")
    assert run == made
    assert run.config_path.read_text() == "seed = 0\n"
    assert run.rollouts_dir.is_dir()
    assert run.checkpoints_dir.is_dir()
    assert run.metrics_path == run.path / "metrics.jsonl"
    assert run.report_path.name == "report.html"
    assert run.summary_path.name == "summary.json"


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, "seed = 0\n")
    with pytest.raises(PonderError, match="already holds a run"):
        RunFolder.create(tmp_path, "seed = 1\n")
    assert (tmp_path / "config.toml").read_text() == "seed = 0\n"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(PonderError, match=r"out = .*is a file"):
        RunFolder.create(tmp_path / "runs" / "a", "")
    with pytest.raises(PonderError, match=r"out = .*is a file"):
        RunFolder.create(tmp_path / "runs", "")


def test_open_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match="not a run folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(PonderError, match="no such folder"):
        RunFolder.open(tmp_path / "none")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "")
    with run.lock():
        with pytest.raises(PonderError, match=f"pid {os.getpid()}"), run.lock():
            pass
        with pytest.raises(PonderError, match="runs in this folder"):
            RunFolder.create(tmp_path, "")
    with run.lock():
        pass


def test_kill_9_frees_the_lock_even_if_a_forked_worker_lives_on(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "")
    process = _hold(tmp_path, _FORK)
    try:
        with pytest.raises(PonderError, match=f"pid {process.pid}"), run.lock():
            pass
        process.kill()
        process.wait(10)
        time.sleep(0.05)
        with run.lock():
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_the_lock_clears_what_a_killed_write_left(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "")
    (tmp_path / ".summary.json.123.tmp").write_text("half")
    with run.lock():
        assert not (tmp_path / ".summary.json.123.tmp").exists()
