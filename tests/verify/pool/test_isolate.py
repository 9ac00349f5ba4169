"""``isolated``, and processes of all kinds that use a pool."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.verify.pool.test_workers import JOBS, is_running, wait_until_gone

from ponder.types import Problem
from ponder.verify.pool import Done, Failed, WorkerPool, isolated

ROOT = Path(__file__).resolve().parents[3]


def run_script(script: str, *, through: str = "file", folder: Path, wait: bool = True) -> str:
    """Runs Python code as a script file, through -c or through standard input."""
    path = folder / "script.py"
    path.write_text(script)
    command = {"file": [str(path)], "-c": ["-c", script], "stdin": ["-"]}[through]
    done = subprocess.run(
        [sys.executable, *command],
        input=script if through == "stdin" else "",
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_isolated_runs_elsewhere_and_here_inside_a_worker() -> None:
    answer = isolated(f"{JOBS}:nested")
    assert isinstance(answer, Done)
    pid, nested_ran_right_there = answer.value
    assert pid != os.getpid()
    assert nested_ran_right_there


def test_isolated_has_a_deadline() -> None:
    answer = isolated(f"{JOBS}:stuck_in_c", 9, deadline_seconds=0.2)
    assert isinstance(answer, Failed)
    assert answer.kind == "timeout"


def test_isolated_works_off_the_main_thread() -> None:
    answers: list[Done | Failed] = []
    thread = threading.Thread(target=lambda: answers.append(isolated(f"{JOBS}:double", 4)))
    thread.start()
    thread.join()
    assert answers == [Done(8)]


def test_a_worker_imports_no_torch() -> None:
    names = ("torch", "transformers", "rich", "pydantic", "ponder.types")
    with WorkerPool(1, deadline_seconds=30) as pool:
        five = Problem("p", "?", "5")
        judged = pool.submit("ponder.verify.verifiers:verify", five, r"\boxed{5}").result()
        assert isinstance(judged, Done)
        there = pool.submit(f"{JOBS}:modules_there", *names).result()
    assert there == Done([False, False, False, False, True])


def test_a_forked_child_has_workers_of_its_own() -> None:
    before = isolated("os:getppid")
    assert before == Done(os.getpid())
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # no assertion in here: it must not come out as another pytest
        told = "exception"
        try:
            told = f"{isolated('os:getppid') == Done(os.getpid())}"
        finally:
            os.write(write, told.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        assert file.read() == "True"
    os.waitpid(pid, 0)
    assert isolated("os:getppid") == before


SCRIPT = """
print("top level")
from ponder.verify.pool import Done, WorkerPool, isolated
assert isolated("math:sqrt", 4.0) == Done(2.0)
assert isolated("time:sleep", 60, deadline_seconds=0.1).kind == "timeout"
assert isolated("math:sqrt", 9.0) == Done(3.0)
pool = WorkerPool(1)
assert pool.submit("math:sqrt", 16.0).result() == Done(4.0)
pool.submit("time:sleep", 60)
print("end")
"""


@pytest.mark.parametrize("through", ["file", "-c", "stdin"])
def test_any_kind_of_script(through: str, tmp_path: Path) -> None:
    """No guard, no re-run of the script, no pool closed by hand, and it ends by itself."""
    assert run_script(SCRIPT, through=through, folder=tmp_path) == "top level\nend\n"


def test_under_every_start_method_of_multiprocessing(tmp_path: Path) -> None:
    script = """
import multiprocessing, os, sys
from ponder.verify.pool import Done, isolated

def child():
    assert isolated("os:getppid") == Done(os.getpid())

if __name__ == "__main__":
    assert isolated("os:getppid") == Done(os.getpid())
    for method in ("fork", "spawn", "forkserver"):
        process = multiprocessing.get_context(method).Process(target=child)
        process.start()
        process.join()
        print(method, process.exitcode)
"""
    told = run_script(script, folder=tmp_path)
    assert told == "fork 0\nspawn 0\nforkserver 0\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_die_with_their_parent(how: signal.Signals, tmp_path: Path) -> None:
    script = """
import time
from ponder.verify.pool import WorkerPool
pool = WorkerPool(3, deadline_seconds=60)
calls = ["tests.verify.pool.jobs:spin", "tests.verify.pool.jobs:stuck_in_c"]
pool.submit(calls[0]); pool.submit(calls[1], 9); pool.submit("math:sqrt", 4.0).result()
print(*pool.worker_pids(), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3
    assert all(is_running(pid) for pid in pids)
    parent.send_signal(how)
    parent.wait(10)
    parent.stdout.close()
    wait_until_gone(pids, 3)


def test_ctrl_c_of_the_terminal_does_not_reach_a_worker() -> None:
    answer = isolated("os:getpgrp")
    assert isinstance(answer, Done)
    assert answer.value != os.getpgrp()
    pid = answer.value
    os.kill(pid, signal.SIGINT)  # and it is deaf to one that is sent
    time.sleep(0.05)
    assert is_running(pid)
