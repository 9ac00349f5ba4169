"""What a program must not be able to do; the attack suite goes on from here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ponder.sandbox.escapes import ATTEMPTS, Attempt, attempt_escapes
from ponder.sandbox.jobs import Limits, Outcome, ScriptJob
from ponder.sandbox.sandbox import Sandbox

LIBRARY = Path(os.__file__).resolve().parent


def ran(sandbox: Sandbox, source: str, **limits: float) -> Outcome:
    return sandbox.run(ScriptJob(source), Limits(**limits))  # type: ignore[arg-type]


def test_every_escape_is_blocked_and_a_plain_program_runs(sandbox: Sandbox) -> None:
    attempts = attempt_escapes(sandbox)
    assert len(attempts) == len(ATTEMPTS) + 1
    assert not [attempt for attempt in attempts if not attempt.is_blocked]


def test_an_escape_that_succeeds_is_seen(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ponder.sandbox.escapes.ATTEMPTS", (Attempt("a", "print('ESCAPED')", ("finished",)),)
    )
    assert not attempt_escapes(sandbox)[1].is_blocked


def test_standard_files_are_all_that_is_open(sandbox: Sandbox) -> None:
    source = (
        "import os\n"
        "for n in range(1000):\n"
        "    try: os.fstat(n)\n    except OSError: continue\n    print(n)"
    )
    assert ran(sandbox, source).stdout.split() == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    "flags", ["O_WRONLY", "O_RDWR", "O_CREAT", "O_RDONLY|os.O_TRUNC", "O_TMPFILE"]
)
@pytest.mark.parametrize("path", ["os.py", "/tmp", "/tmp/new", "/dev/null", "."])
def test_nothing_is_opened_for_writing(sandbox: Sandbox, flags: str, path: str) -> None:
    outcome = ran(sandbox, f"import os\nos.open({path!r}, os.{flags})")
    assert outcome.detail.startswith(("PermissionError", "IsADirectoryError"))


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/self/maps", "/proc/1/cmdline",
     "/proc/meminfo", "/dev/urandom", "/sys/kernel/mm", "/", "/tmp", __file__, "../../..",
     str(LIBRARY), "."],
)  # fmt: skip
def test_no_file_but_the_library_is_read(sandbox: Sandbox, path: str) -> None:
    source = (
        f"import os\npath = {path!r}\n"
        "print(os.listdir(path) if os.path.isdir(path) else open(path).read())"
    )
    outcome = ran(sandbox, source)
    assert outcome.status == "crashed"
    assert b"Errno 13" in outcome.stderr or b"Errno 2]" in outcome.stderr


def test_what_is_installed_beside_the_library_is_not_read(sandbox: Sandbox) -> None:
    installed = sorted((LIBRARY / "site-packages").glob("*/__init__.py"))
    if not installed:
        pytest.skip("nothing is installed beside this Python's library")
    for path in (installed[0], installed[0].relative_to(LIBRARY)):
        assert ran(sandbox, f"open({str(path)!r})").detail.startswith("PermissionError")
    assert ran(sandbox, "import pytest").detail.startswith("ModuleNotFoundError")


def test_the_environment_is_not_ours(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abc123")
    with Sandbox(num_parallel=1) as fresh:
        assert b"abc123" not in fresh.run(ScriptJob("import os\nprint(os.environ)")).stdout


@pytest.mark.parametrize(
    "call",
    ["os.kill(os.getppid(), 0)", "os.kill(0, 0)", "os.kill(-1, 0)", "os.killpg(0, 9)",
     "os.setsid()", "os.nice(-5)", "os.setpriority(os.PRIO_PROCESS, 0, 10)", "os.chdir('/')",
     "os.mkdir('/tmp/x')", "os.unlink('os.py')", "os.rename('os.py', 'so.py')",
     "os.symlink('/etc', '/tmp/x')", "os.link('os.py', '/tmp/x')", "os.mkfifo('/tmp/x')",
     "os.chmod('os.py', 0o777)", "os.chown('os.py', 0, 0)", "os.truncate('os.py', 0)",
     "os.utime('os.py')", "os.fork()", "os.posix_spawn('/bin/true', ['true'], {})",
     "os.execv('/bin/true', ['true'])", "os.system('true') and 1/0", "os.setuid(0)",
     "os.setgroups([])", "os.memfd_create('x')", "os.chroot('/')", "os.sched_setaffinity(0, {0})",
     "os.pidfd_open(os.getpid())", "os.unlink('/dev/shm/x')", "os.sync_file_range()"],
)  # fmt: skip
def test_calls_that_reach_outside_fail(sandbox: Sandbox, call: str) -> None:
    assert ran(sandbox, f"import os\n{call}").status == "crashed"


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"])
def test_no_socket_of_any_family(sandbox: Sandbox, family: str) -> None:
    source = f"import socket\nsocket.socket(socket.{family}, socket.SOCK_DGRAM)"
    assert ran(sandbox, source).detail.startswith("PermissionError")


def test_a_pair_of_sockets_reaches_nobody_else(sandbox: Sandbox) -> None:
    source = (
        "import socket\na, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "a.send(b'x')\nprint(b.recv(1))\n"
        "try: a.sendto(b'x', '/dev/log')\nexcept PermissionError: print('no')\n"
        "try: a.connect('/dev/log')\nexcept PermissionError: print('no')\n"
        "try: socket.send_fds(a, [b'x'], [0])\nexcept PermissionError: print('no')"
    )
    assert ran(sandbox, source).stdout == b"b'x'\nno\nno\nno\n"


@pytest.mark.skipif(sys.maxsize < 2**32, reason="64-bit numbers")
def test_another_architectures_calls_kill(sandbox: Sandbox) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("x32 is of x86-64")
    source = "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)\nprint('ESCAPED')"
    outcome = ran(sandbox, source)
    assert (outcome.status, outcome.stdout) == ("refused", b"")


def test_threads_are_counted(sandbox: Sandbox) -> None:
    source = (
        "import threading, time\n"
        "for n in range(1000):\n"
        "    print(n, flush=True)\n"
        "    threading.Thread(target=time.sleep, args=(1,), daemon=True).start()"
    )
    outcome = ran(sandbox, source, num_threads=8)
    assert outcome.status == "crashed"
    started = int(outcome.stdout.split()[-1])
    assert started == 7 or os.geteuid() != 0


def test_limits_cannot_be_raised(sandbox: Sandbox) -> None:
    source = (
        "import resource as r\n"
        "for name in 'AS CPU NPROC NOFILE FSIZE CORE STACK'.split():\n"
        "    which = getattr(r, 'RLIMIT_' + name)\n"
        "    soft, hard = r.getrlimit(which)\n"
        "    try: r.setrlimit(which, (hard, hard + 1))\n"
        "    except (ValueError, OSError): continue\n"
        "    print('ESCAPED', name)"
    )
    assert ran(sandbox, source).stdout == b""


def test_other_processes_limits_are_not_ours_to_set(sandbox: Sandbox) -> None:
    source = "import resource, os\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))"
    assert ran(sandbox, source).detail.startswith("PermissionError")
