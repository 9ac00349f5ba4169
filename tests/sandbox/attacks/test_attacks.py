"""Every attack is beaten, as root and as an ordinary user, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sandbox.attacks.as_user import ROOT, obstacle, run_as_user
from tests.sandbox.attacks.attack import SECRET, Attack
from tests.sandbox.attacks.cheats import CHEATS, KNOWN_WEAK
from tests.sandbox.attacks.probes import PROBES
from tests.sandbox.attacks.runner import (
    ATTACKS,
    can_run,
    chosen,
    is_healthy,
    run_attack,
    secret_file,
)
from tests.sandbox.attacks.traces import Watch

from ponder.errors import PonderError
from ponder.sandbox.jobs import CallJob, Limits, ScriptJob
from ponder.sandbox.sandbox import Sandbox
from ponder.verify.code.judge import judge
from ponder.verify.code.reader import read_tests


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    if sys.platform != "linux":
        pytest.skip("the sandbox needs Linux")
    with secret_file(), Sandbox(num_parallel=1) as made:
        try:
            made.run(ScriptJob("print(42)"))
        except PonderError as error:
            pytest.skip(f"no isolation here: {error}")
        yield made


@pytest.fixture(scope="module")
def watch(sandbox: Sandbox) -> Watch:
    assert is_healthy(sandbox)
    return Watch()


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(attack, id=attack.name, marks=[pytest.mark.slow] if attack.is_slow else [])
        for attack in ATTACKS
    ],
)
def test_the_attack_is_beaten(attack: Attack, sandbox: Sandbox, watch: Watch) -> None:
    if not can_run(attack):
        pytest.skip("no g++")
    assert run_attack(attack, sandbox, watch).fault == ""


def test_there_are_many_attacks_with_names_of_their_own() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


def test_the_suite_as_an_ordinary_user() -> None:
    if why := obstacle():
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="ponder-attacks-") as folder:
        Path(folder).chmod(0o755)
        reports = run_as_user(Path(folder), "--fast")
    assert [f"{row['name']}: {row['fault']}" for row in reports if row["fault"]] == []
    assert len(reports) == len(chosen(is_fast=True))


def test_nothing_of_one_run_is_seen_by_the_next(sandbox: Sandbox) -> None:
    """Neither its patches, nor its modules, nor its memory."""
    sandbox.run(
        ScriptJob(
            f"import builtins, json, sys, os\nkept = {SECRET!r} * 100000\nsys.ponder = kept\n"
            "builtins.print = builtins.len = None\njson.dumps = None\nos.environ['A'] = kept\n"
            "sys.path.append(kept)\nsys.modules['kept'] = json\nsys.setrecursionlimit(50)\n"
        )
    )
    hunt = next(attack for attack in CHEATS if attack.name == "hunts in memory")
    found = sandbox.run(CallJob(hunt.program, "f", "[7]"), Limits(wall_seconds=5))
    assert (found.status, found.result) == ("finished", b"null")
    look = (
        "import json, sys, os\nprint(len([1]), json.dumps([1]), hasattr(sys, 'ponder'), "
        "'A' in os.environ, 'kept' in sys.modules, sys.getrecursionlimit() > 900)\n"
    )
    assert sandbox.run(ScriptJob(look)).stdout == b"1 [1] False False False True\n"


def test_attacks_side_by_side() -> None:
    """Hostile and honest programs at the same time, from many threads."""
    hostile = [a for a in ATTACKS if a.language == "python" and not a.is_slow and a.seconds < 1][
        ::3
    ]
    honest = ScriptJob("print(sum(map(int, input().split())))", b"40 2")
    outcomes: list[bytes] = []

    def attack(attacks: list[Attack]) -> None:
        for one in attacks:
            judge(one.program, read_tests(one.tests), Limits(wall_seconds=0.3), sandbox)

    watch = Watch()
    with Sandbox(num_parallel=4) as sandbox:
        threads = [threading.Thread(target=attack, args=(hostile[n::3],)) for n in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            outcomes.append(sandbox.run(honest, Limits(wall_seconds=10)).stdout)
        for thread in threads:
            thread.join()
    assert len(outcomes) > 10
    assert set(outcomes) == {b"42\n"}
    assert watch.new_traces() == []


# The attacks have teeth: outside the sandbox they work.

HARMLESS = (
    "read /etc/passwd",
    "read folders",
    "read the working folder",
    "read other processes",
    "read secrets of the environment",
    "write: unnamed files",
    "process: a shell",
    "process: signals to others",
    "network: TCP",
    "network: a server",
    "network: other families",
)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_probe_escapes_where_there_is_no_sandbox(name: str) -> None:
    program = next(attack for attack in PROBES if attack.name == name).program
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60
    )
    assert b"ESCAPED" in done.stdout, done


@pytest.mark.parametrize(
    "name", ["hunts in frames", "hunts in the collector's objects", "hunts in memory"]
)
def test_a_hunt_finds_what_is_in_its_process(name: str) -> None:
    attack = next(attack for attack in CHEATS if attack.name == name)
    naive = (
        "def grade(source):\n    expected = [''.join(['EXPECTED', ':913-', 'kestrel'])]\n"
        "    names = {}\n    exec(compile(source, 'candidate', 'exec'), names)\n"
        "    return names['f'](7)\nimport sys\nprint(grade(sys.stdin.read()))\n"
    )
    done = subprocess.run([sys.executable, "-c", naive], input=attack.program.encode(),
                          capture_output=True, timeout=60)  # fmt: skip
    assert SECRET.encode() in done.stdout, done


@pytest.mark.parametrize("attack", KNOWN_WEAK, ids=lambda attack: attack.name)
def test_what_passes_a_weak_test_is_called_weak(attack: Attack, sandbox: Sandbox) -> None:
    """Documented: a test that cannot be taken apart shares a process with the program."""
    tests = read_tests(attack.tests)
    assert judge(attack.program, tests, Limits(wall_seconds=2), sandbox).num_weak == len(tests)
