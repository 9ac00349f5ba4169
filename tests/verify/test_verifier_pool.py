"""Verifiers run where they belong, and every completion gets its judgement."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.errors import PonderError
from ponder.sandbox.sandbox import usable_cpus
from ponder.types import Judgement, Problem, Verdict
from ponder.verify.verifier_pool import RUNS, VerifierPool, Where
from ponder.verify.verifiers import verify

FIVE = Problem("five", "?", "5")
TEXTS = [r"\boxed{5}", r"\boxed{6}", "five", "", "<answer> 5 </answer>", "\ud800", "x" * 200_000]
PLACES: list[Where] = ["inline", "process", "thread"]


@pytest.fixture(scope="module", params=PLACES)
def pool(request: pytest.FixtureRequest) -> Iterator[VerifierPool]:
    with VerifierPool(2, deadline_seconds=10, runs={"exact": request.param}) as pool:
        yield pool


def test_the_same_judgements_wherever_it_runs(pool: VerifierPool) -> None:
    pairs = [(FIVE, text) for text in TEXTS]
    assert pool.judge_all(pairs) == [verify(problem, text) for problem, text in pairs]


def test_a_wrong_reference_is_an_error(pool: VerifierPool) -> None:
    judgement = pool.submit(Problem("p", "?", "green"), r"\boxed{5}").result(timeout=30)
    assert judgement.verdict is Verdict.ERROR


def test_the_time_is_that_of_the_verifier(pool: VerifierPool) -> None:
    timed = pool.submit_timed(FIVE, r"\boxed{5}").result(timeout=30)
    assert timed.judgement.verdict is Verdict.CORRECT
    assert 0 < timed.seconds < 1


def test_an_unknown_verifier_is_the_users_mistake(pool: VerifierPool) -> None:
    with pytest.raises(PonderError, match="nope"):
        pool.submit(Problem("p", "?", "5", verifier="nope"), "")


def test_a_verifier_that_raises_is_an_error_with_the_reason(pool: VerifierPool) -> None:
    """A problem that no verifier can have expected."""
    judgement = pool.submit(Problem("p", "?", 5), "x").result(timeout=30)  # type: ignore[arg-type]
    assert judgement.verdict is Verdict.ERROR
    assert "exception" in judgement.reason


def test_metadata_and_exceptions_travel_to_a_worker() -> None:
    with VerifierPool(1, deadline_seconds=10, runs={}) as pool:
        problem = Problem("p", "?", "5", "gym", {"task": "no_such", "settings": "{}", "seed": 0})
        pool.prepare([problem])
        judgement = pool.submit(problem, r"\boxed{5}").result(timeout=60)
        assert judgement.verdict is Verdict.ERROR
        assert "KeyError('index')" in judgement.reason
        locked = Problem("p", "?", "5", "exact", {"lock": threading.Lock()})
        judgement = pool.submit(locked, r"\boxed{5}").result(timeout=30)
        assert judgement.verdict is Verdict.ERROR
        assert "cannot travel" in judgement.reason


def test_a_timeout_is_an_error_with_the_reason() -> None:
    with VerifierPool(1, deadline_seconds=0.3, runs={}) as pool:
        hanging = Problem("p", "?", _Hangs("5"))
        judgement = pool.submit(hanging, r"\boxed{5}").result(timeout=30)
        assert judgement == Judgement(Verdict.ERROR, None, "timeout: no answer after 0.3 s")
        assert pool.submit(FIVE, r"\boxed{5}").result(timeout=30).verdict is Verdict.CORRECT


class _Hangs(str):
    """Text that takes for ever to look at."""

    def __str__(self) -> str:
        time.sleep(60)
        return "5"

    def translate(self, table: object) -> str:
        time.sleep(60)
        return "5"

    def __hash__(self) -> int:
        if os.environ.get("PYTHONHASHSEED") == "0":  # in a worker
            time.sleep(60)
        return 5


def test_a_users_own_verifier_is_imported_before_its_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import time; time.sleep(0.6)\ndef f(problem, text): return text == problem.answer\n"
    (tmp_path / "own_verifier.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with VerifierPool(1) as pool:
        problem = Problem("p", "?", "5", "own_verifier:f")
        timed = pool.submit_timed(problem, "5").result(timeout=30)
        assert timed.judgement.verdict is Verdict.CORRECT
        assert timed.seconds < 0.5
        assert pool.submit(problem, "6").result(timeout=30).verdict is Verdict.INCORRECT


@pytest.mark.parametrize("where", PLACES)
def test_close_leaves_nothing_unanswered(where: Where) -> None:
    pool = VerifierPool(1, runs={"exact": where})
    futures = [pool.submit(FIVE, TEXTS[0]) for _ in range(50)]
    pool.close()
    pool.close()
    judgements = [future.result(timeout=10) for future in futures]
    assert {judgement.verdict for judgement in judgements} <= {Verdict.CORRECT, Verdict.ERROR}
    errors = {judgement.reason for judgement in judgements if judgement.verdict is Verdict.ERROR}
    assert errors <= {"crash: the pool was closed"}
    if where != "inline":
        with pytest.raises(RuntimeError, match="closed"):
            pool.submit(FIVE, "")


@pytest.mark.parametrize("where", PLACES)
def test_a_forked_child_may_go_on_with_the_pool(where: Where) -> None:
    with VerifierPool(1, runs={"exact": where}) as pool:
        assert pool.submit(FIVE, TEXTS[0]).result(timeout=30).verdict is Verdict.CORRECT
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                done = pool.submit(FIVE, TEXTS[0]).result(timeout=30)
                code = 0 if done.verdict is Verdict.CORRECT else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert pool.submit(FIVE, TEXTS[0]).result(timeout=30).verdict is Verdict.CORRECT


def test_submit_returns_before_the_work_is_done() -> None:
    with VerifierPool(1, runs={}) as pool:
        pool.prepare([FIVE])
        began = time.monotonic()
        futures = [pool.submit(FIVE, TEXTS[0]) for _ in range(200)]
        submitted = time.monotonic() - began
        for future in futures:
            future.result(timeout=30)
        assert submitted < (time.monotonic() - began) / 2


def test_submit_blocks_when_too_many_wait_for_a_thread() -> None:
    with VerifierPool(1, max_waiting=2, runs={"exact": "thread"}) as pool:
        assert len(pool.judge_all([(FIVE, TEXTS[0])] * 100)) == 100


def test_where_verifiers_run() -> None:
    assert RUNS["exact"] == "inline"
    assert RUNS["code"] == "thread"
    assert set(RUNS.values()) <= {*PLACES, "model"}
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


def test_a_worker_of_verifiers_imports_no_torch() -> None:
    with VerifierPool(1, runs={}) as pool:
        pool.submit(FIVE, TEXTS[0]).result(timeout=30)
        (pid,) = pool.worker_pids()
        maps = Path(f"/proc/{pid}/maps")
        if not maps.exists():
            pytest.skip("no /proc")
        assert "libtorch" not in maps.read_text()


def test_only_gym_tasks_with_a_cheap_scorer_run_in_the_caller() -> None:
    def entry(task: str) -> Problem:
        return Problem(
            "p", "?", "5", "gym", {"task": task, "settings": "{}", "seed": 0, "index": 0}
        )

    with VerifierPool(1) as pool:
        pool.prepare([entry("products"), entry("gcd"), FIVE])
        assert pool.submit(entry("gcd"), "no answer").result(timeout=30).reason == "no answer"
        assert pool.worker_pids() == []
        pool.submit(entry("polynomial_equations"), "no answer").result(timeout=60)
        assert len(pool.worker_pids()) == 1


SCRIPT = """
from ponder.errors import PonderError
from ponder.sandbox import probe as module
from ponder.types import Problem
from ponder.verify.verifier_pool import VerifierPool
import ponder.sandbox.sandbox as sandbox

piece = module.Piece("landlock", "none", False, fix="use a newer kernel")
sandbox.probe = lambda: module.Probe((piece,))
code = Problem("p", "?", "print(1)", "code", {"tests": []})
with VerifierPool(1) as pool:
    try:
        pool.prepare([code])
    except PonderError as error:
        print("refused:", error)
    print(pool.prepare([code], unsafe=True))
"""


def test_programs_are_refused_where_they_cannot_be_isolated_unless_unsafe_is_spelled_out() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    refused, warned = done.stdout.splitlines()
    assert refused.startswith("refused:")
    assert "use a newer kernel" in refused
    assert "WITHOUT isolation" in warned
