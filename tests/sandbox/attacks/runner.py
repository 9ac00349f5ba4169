"""Runs attacks and says of each whether it was beaten. Needs the standard library and ponder alone.

``python -m tests.sandbox.attacks.runner`` prints a line of JSON for every attack (``--fast``: but
for the slow ones): so the suite runs as another user, from a copy that this user may read.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tests.sandbox.attacks.attack import SECRET, SECRET_FILE, Attack
from tests.sandbox.attacks.bombs import BOMBS
from tests.sandbox.attacks.cheats import CHEATS
from tests.sandbox.attacks.probes import PROBES
from tests.sandbox.attacks.traces import Watch

from ponder.sandbox.jobs import Limits, ScriptJob
from ponder.sandbox.sandbox import Sandbox
from ponder.types import Verdict
from ponder.verify.code.judge import judge
from ponder.verify.code.reader import read_tests

ATTACKS: tuple[Attack, ...] = (*BOMBS, *PROBES, *CHEATS)


@dataclass(frozen=True)
class Report:
    """How an attack went; ``fault`` is "" where it was beaten and left nothing.

    ``seconds``: wall time of it all, the search for traces included.
    """

    name: str
    family: str
    statuses: list[str]
    seconds: float
    fault: str


def run_attack(attack: Attack, sandbox: Sandbox, watch: Watch) -> Report:
    """Put the attack to its tests, see that the next program runs as ever, and look for traces."""
    start = time.perf_counter()
    limits = Limits(wall_seconds=attack.seconds, memory_mb=attack.memory_mb)
    tests = read_tests(attack.tests)
    result = judge(attack.program, tests, limits, sandbox, attack.language)
    statuses = [case.status for case in result.cases]
    wrong = [case for case in result.cases if case.status not in attack.allowed]
    faults = [f"status {case.status} ({case.detail})" for case in wrong]
    if attack.is_beaten and result.verdict is Verdict.CORRECT:
        faults.append("it has the reward")
    if result.seconds > len(statuses) * (attack.seconds + 0.5) and attack.language == "python":
        faults.append(f"it held the sandbox for {result.seconds:.1f} s")
    if any(faults) and attack.language == "python":
        faults.append(_said(attack, sandbox, limits))
    if not is_healthy(sandbox):
        faults.append("the next program failed")
    faults += watch.new_traces()
    seconds = round(time.perf_counter() - start, 3)
    return Report(attack.name, attack.family, statuses, seconds, "; ".join(faults))


def _said(attack: Attack, sandbox: Sandbox, limits: Limits) -> str:
    outcome = sandbox.run(ScriptJob(attack.program), limits)
    return f"{outcome.status}: {outcome.stdout[-200:]!r} {outcome.stderr[-300:]!r}"


def is_healthy(sandbox: Sandbox) -> bool:
    """Whether a plain program runs as it should."""
    outcome = sandbox.run(ScriptJob("import json\nprint(len(input()), json.dumps([1]))", b"abc"))
    return outcome.status == "finished" and outcome.stdout == b"3 [1]\n"


@contextmanager
def secret_file() -> Iterator[None]:
    """Tests on the disk that everybody may read, for attacks to look for."""
    with open(SECRET_FILE, "w", encoding="utf-8") as file:
        json.dump({"expected": SECRET}, file)
    os.chmod(SECRET_FILE, 0o644)
    try:
        yield
    finally:
        os.remove(SECRET_FILE)


def can_run(attack: Attack) -> bool:
    """Whether this machine has what the attack needs (a C++ compiler)."""
    return attack.language == "python" or shutil.which("g++") is not None


def chosen(is_fast: bool) -> list[Attack]:
    """The attacks to run here."""
    return [one for one in ATTACKS if can_run(one) and not (is_fast and one.is_slow)]


def main() -> int:
    """Run all, print JSON lines; the exit code says whether every attack was beaten."""
    is_right = True
    with secret_file(), Sandbox(num_parallel=1) as sandbox:
        is_healthy(sandbox)
        watch = Watch()
        for attack in chosen("--fast" in sys.argv):
            report = run_attack(attack, sandbox, watch)
            is_right = is_right and not report.fault
            print(json.dumps(asdict(report)), flush=True)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
