"""Runs leave nothing behind, and nothing of one run is seen by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ponder.errors import PonderError
from ponder.sandbox.jobs import CallJob, Limits, ScriptJob
from ponder.sandbox.sandbox import Sandbox

US = psutil.Process()
FIRST_USER = 0x70000000  # of the users that runs have where we are root


def all_zygotes() -> list[psutil.Process]:
    return [p for p in US.children() if "inside.zygote" in " ".join(p.cmdline())]


class Zygotes:
    """Those that came since: other tests may have left a sandbox of the whole process open."""

    def __init__(self) -> None:
        self._others = {process.pid for process in all_zygotes()}

    def __call__(self) -> list[psutil.Process]:
        return [process for process in all_zygotes() if process.pid not in self._others]


@pytest.fixture
def zygotes() -> Zygotes:
    return Zygotes()


def wait_until(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def places() -> list[Path]:
    """What is in the folders that anybody may write to."""
    return [p for name in ("/tmp", "/dev/shm", "/var/tmp") for p in Path(name).glob("*")]


def is_of_a_run(path: Path) -> bool:
    try:
        return path.lstat().st_uid >= FIRST_USER
    except FileNotFoundError:  # another process's, gone by now
        return False


def counts() -> dict[str, int]:
    return {
        "descriptors": US.num_fds(),
        "processes": len(US.children(recursive=True)),
        "files of the runs' users": sum(map(is_of_a_run, places())),
        "threads": threading.active_count(),
    }


def test_300_runs_leave_nothing() -> None:
    jobs = (
        (ScriptJob("print(42)"), Limits()),
        (ScriptJob("while True: print('x' * 999)"), Limits(output_bytes=5000)),
        (CallJob("def f(): return [1]", "f"), Limits()),
        (ScriptJob("x = bytearray(1 << 40)"), Limits()),
        (ScriptJob("import os\nos.fork()"), Limits()),
        (ScriptJob("while True: pass"), Limits(wall_seconds=0.02)),
    )
    before = counts()
    with Sandbox(num_parallel=1) as sandbox:
        for job, limits in jobs:
            sandbox.run(job, limits)
        warm, memory = counts(), US.memory_info().rss
        for index in range(300):
            sandbox.run(*jobs[index % len(jobs)])
        assert counts() == warm
        assert US.memory_info().rss - memory < 8 << 20
    assert wait_until(lambda: counts() == before), (before, counts())


def test_a_run_sees_nothing_of_the_one_before() -> None:
    """Searches all of its own memory for what an earlier run was given."""
    marker = "ab12" * 3
    first = f"secret = '{marker}' + 'zz'\nimport builtins\nbuiltins.left = secret\nprint(secret)"
    search = (
        "import builtins, gc, sys\n"
        "word = ''.join(['ab', '12'] * 3) + ''.join(['z', 'z'])\n"
        "print(hasattr(builtins, 'left'))\n"
        "held = [o for o in gc.get_objects() if type(o) is dict and o is not globals()]\n"
        "print(len([o for o in held if word in map(str, o.values())]))\n"
    )
    with Sandbox(num_parallel=1) as sandbox:
        assert marker.encode() in sandbox.run(ScriptJob(first)).stdout
        assert sandbox.run(ScriptJob(search)).stdout == b"False\n0\n"
        assert sandbox.run(ScriptJob("import sys\nprint(sys.stdin.read())")).stdout == b"\n"


def test_the_zygote_never_holds_a_program(zygotes: Zygotes) -> None:
    if os.geteuid() != 0:
        pytest.skip("reading a zygote's memory takes root")
    marker = b"a-word-that-no-library-has-7315"
    with Sandbox(num_parallel=1) as sandbox:
        for _ in range(3):
            sandbox.run(ScriptJob(f"x = {marker.decode()!r}\nprint(x)", marker))
        [zygote] = zygotes()
        memory = b"".join(_readable_memory(zygote.pid))
    assert len(memory) > 1 << 20
    assert marker not in memory


def _readable_memory(pid: int) -> list[bytes]:
    found = []
    with open(f"/proc/{pid}/mem", "rb") as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(n, 16) for n in span.split("-"))
            file.seek(start)
            found.append(file.read(end - start))
    return found


def test_eight_threads_get_their_own_answers(zygotes: Zygotes) -> None:
    found: dict[int, list[bytes]] = {}

    def work(number: int) -> None:
        runs = (sandbox.run(ScriptJob(f"print({number} * {i})")) for i in range(10))
        found[number] = [run.stdout for run in runs]

    with Sandbox(num_parallel=4) as sandbox:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(zygotes()) <= 4
    assert found == {n: [f"{n * i}\n".encode() for i in range(10)] for n in range(8)}


def test_a_zygote_killed_between_runs_is_replaced(zygotes: Zygotes) -> None:
    with Sandbox(num_parallel=1) as sandbox:
        for _ in range(3):
            assert sandbox.run(ScriptJob("print(1)")).stdout == b"1\n"
            [zygote] = zygotes()
            zygote.kill()
        assert sandbox.run(ScriptJob("print(1)")).stdout == b"1\n"
        assert len(zygotes()) == 1


def test_a_zygote_killed_during_a_run_is_replaced_and_the_run_repeated(zygotes: Zygotes) -> None:
    with Sandbox(num_parallel=1) as sandbox:
        sandbox.run(ScriptJob(""))
        [first] = zygotes()
        children = first.children()
        threading.Timer(0.2, first.kill).start()
        source = "import time\ntime.sleep(0.5)\nprint('done')"
        assert sandbox.run(ScriptJob(source)).stdout == b"done\n"
        assert wait_until(lambda: not any(child.is_running() for child in children))


def test_the_child_that_waits_may_be_killed_too(zygotes: Zygotes) -> None:
    with Sandbox(num_parallel=1) as sandbox:
        sandbox.run(ScriptJob(""))
        for child in zygotes()[0].children():
            child.kill()
        assert sandbox.run(ScriptJob("print(1)")).stdout == b"1\n"


PARENT = """
import sys, threading, time
from ponder.sandbox.jobs import Limits, ScriptJob
from ponder.sandbox.sandbox import Sandbox
sandbox = Sandbox(num_parallel=1)
print(sandbox.run(ScriptJob("print(1)")).status, flush=True)
sandbox.run(ScriptJob("import time; time.sleep(60)"), Limits(wall_seconds=60))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_zygote_and_run_go_when_the_parent_is_killed(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as lines:
        assert lines.readline() == b"finished\n"
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) >= 2
        process.send_signal(number)
        process.wait()
        assert wait_until(lambda: not any(p.is_running() for p in below))


FORKED = """
import os, sys
from ponder.sandbox.jobs import ScriptJob
from ponder.sandbox.sandbox import default_sandbox
assert default_sandbox().run(ScriptJob("print(1)")).stdout == b"1\\n"
pid = os.fork()
assert default_sandbox().run(ScriptJob("print(2)")).stdout == b"2\\n"
if pid:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def test_a_fork_of_ours_starts_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


def test_an_interrupted_run_is_ended(zygotes: Zygotes) -> None:
    with Sandbox(num_parallel=1) as sandbox:
        sandbox.run(ScriptJob(""))
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            sandbox.run(ScriptJob("while True: pass"), Limits(wall_seconds=30))
        assert sandbox.run(ScriptJob("print(1)")).stdout == b"1\n"
    assert wait_until(lambda: not zygotes())


def test_a_closed_sandbox_says_so() -> None:
    sandbox = Sandbox(num_parallel=1)
    sandbox.close()
    with pytest.raises(PonderError, match="closed"):
        sandbox.run(ScriptJob(""))
