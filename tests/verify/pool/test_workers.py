"""The pool of workers: deadlines, deaths and every item answered exactly once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from ponder.errors import PonderError
from ponder.verify.pool import Done, Failed, WorkerPool
from ponder.verify.pool.workers import MAX_ARGUMENT_BYTES

JOBS = "tests.verify.pool.jobs"


@pytest.fixture(scope="module")
def shared() -> Iterator[WorkerPool]:
    with WorkerPool(2, deadline_seconds=10.0, memory_mb=256) as pool:
        yield pool


def ask(
    pool: WorkerPool, function: str, *args: object, deadline_seconds: float | None = None
) -> Done | Failed:
    future = pool.submit(f"{JOBS}:{function}", *args, deadline_seconds=deadline_seconds)
    return future.result(timeout=30)


def wait_until_gone(pids: list[int], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < end, f"still there: {pids}"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """A zombie of another parent is not running."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_value_comes_back_and_the_worker_stays(shared: WorkerPool) -> None:
    assert ask(shared, "double", 21) == Done(42)
    pids = {ask(shared, "nested").value[0] for _ in range(5)}  # type: ignore[union-attr]
    assert pids <= set(shared.worker_pids())
    assert os.getpid() not in pids


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("spin", ()),
        ("spin_deaf_to_all_signals", ()),
        ("stuck_in_c", (9,)),
        ("swallow_everything", ()),
        ("stop", ()),
        ("double_soon", (1, 60.0)),
        ("fill_pipe", ()),
    ],
)
def test_nothing_holds_a_worker_past_its_deadline(
    shared: WorkerPool, function: str, args: tuple[object, ...]
) -> None:
    ask(shared, "double", 1)
    began = time.monotonic()
    answer = ask(shared, function, *args, deadline_seconds=0.3)
    assert isinstance(answer, Failed)
    assert answer.kind == "timeout"
    assert time.monotonic() - began < 0.3 + 0.5
    assert ask(shared, "double", 21) == Done(42)


def test_the_deadline_counts_from_the_start_of_work() -> None:
    with WorkerPool(1, deadline_seconds=0.5) as pool:
        futures = [pool.submit(f"{JOBS}:double_soon", i, 0.2) for i in range(5)]  # 1 s in the queue
        assert [future.result(timeout=30) for future in futures] == [Done(2 * i) for i in range(5)]


def test_imports_are_outside_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time; time.sleep(0.6)\ndef f(): return 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with WorkerPool(1, deadline_seconds=0.3) as pool:
        assert pool.submit("slow_to_import:f").result(timeout=30) == Done(5)
        late = pool.submit("builtins:abs", -1, modules=["slow_to_import"])
        assert late.result(timeout=30) == Done(1)


@pytest.mark.parametrize(
    ("function", "kind", "detail"),
    [
        ("recurse", "exception", "RecursionError"),
        ("raise_unprintable", "exception", "UnprintableError"),
        ("unpicklable", "exception", "unpicklable.<locals>"),
        ("not_plain", "exception", "is not plain data"),
        ("no_such_function", "exception", "AttributeError"),
        ("segfault", "crash", "signal 11"),
    ],
)
def test_failures_are_answers(shared: WorkerPool, function: str, kind: str, detail: str) -> None:
    answer = ask(shared, function)
    assert isinstance(answer, Failed)
    assert answer.kind == kind
    assert detail in answer.detail
    assert "\n" not in answer.detail
    assert ask(shared, "double", 4) == Done(8)


def test_arguments_that_cannot_travel_are_an_answer_too(shared: WorkerPool) -> None:
    answer = ask(shared, "double", lambda: 0)
    assert isinstance(answer, Failed)
    assert (answer.kind, "cannot travel" in answer.detail) == ("exception", True)
    answer = ask(shared, "double", "x" * (MAX_ARGUMENT_BYTES + 1))
    assert isinstance(answer, Failed)
    assert (answer.kind, "bytes" in answer.detail) == ("exception", True)


def test_a_module_that_cannot_be_imported(shared: WorkerPool) -> None:
    answer = shared.submit("no.such.module:f").result(timeout=30)
    assert isinstance(answer, Failed)
    assert (answer.kind, "ModuleNotFoundError" in answer.detail) == ("exception", True)


def test_a_running_worker_looks_where_we_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "found_later.py").write_text("def f(): return 7\n")
    with WorkerPool(1) as pool:
        assert isinstance(pool.submit("found_later:f").result(timeout=30), Failed)
        pids = pool.worker_pids()
        monkeypatch.syspath_prepend(str(tmp_path))
        assert pool.submit("found_later:f").result(timeout=30) == Done(7)
        assert pool.worker_pids() == pids


def test_a_module_that_hangs_ends_and_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh worker imports what its predecessors had, but never what killed one."""
    (tmp_path / "hangs.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with WorkerPool(1, start_seconds=1.0) as pool:
        assert ask(pool, "double", 2) == Done(4)
        answer = pool.submit("hangs:f").result(timeout=30)
        assert isinstance(answer, Failed)
        assert (answer.kind, "imports" in answer.detail) == ("timeout", True)
        assert ask(pool, "double", 2) == Done(4)
        assert pool.known_modules == (JOBS,)


def test_no_worker_to_be_had_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with WorkerPool(1) as pool:
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        answer = ask(pool, "double", 2)
        assert isinstance(answer, Failed)
        assert (answer.kind, "No such file" in answer.detail) == ("crash", True)
        monkeypatch.setattr(sys, "executable", "/bin/false")
        answer = ask(pool, "double", 2)
        assert isinstance(answer, Failed)
        assert (answer.kind, "exit code 1), 3 times" in answer.detail) == ("crash", True)
        monkeypatch.undo()
        assert ask(pool, "double", 2) == Done(4)


@pytest.mark.parametrize("function", ["double", "__main__:double", ":f", "os:", "os:a.b", ""])
def test_only_importable_names_are_taken(shared: WorkerPool, function: str) -> None:
    with pytest.raises(PonderError, match=r"package\.module:name"):
        shared.submit(function)


def test_memory_is_bounded(shared: WorkerPool) -> None:
    answer = ask(shared, "hoard", 2000)
    assert isinstance(answer, Failed)
    assert answer.kind == "memory"
    assert ask(shared, "hoard", 100) == Done(100 << 20)


def test_a_worker_that_keeps_memory_is_replaced() -> None:
    with WorkerPool(1, memory_mb=256) as pool:
        pids = [ask(pool, "keep", 60).value for _ in range(6)]  # type: ignore[union-attr]
    assert pids[0] == pids[1] == pids[2]  # 180 MB is more than half
    assert pids[3] == pids[4] == pids[5] != pids[0]


def test_a_crash_is_not_tried_again(shared: WorkerPool, tmp_path: Path) -> None:
    answer = ask(shared, "count_calls", str(tmp_path / "calls"))
    assert isinstance(answer, Failed)
    assert (answer.kind, "signal 6" in answer.detail) == ("crash", True)
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_item_whose_worker_is_killed_from_outside_is_tried_again(
    how: signal.Signals, shared: WorkerPool, tmp_path: Path
) -> None:
    assert ask(shared, "die_once", str(tmp_path / "m"), how) == Done("second")


def test_an_idle_worker_that_was_killed_is_replaced() -> None:
    with WorkerPool(1) as pool:
        for _ in range(3):
            assert ask(pool, "double", 3) == Done(6)
            (pid,) = pool.worker_pids()
            os.kill(pid, signal.SIGKILL)
        assert ask(pool, "double", 3) == Done(6)


def test_every_item_is_answered_once_and_nothing_leaks_while_workers_are_killed() -> None:
    """50 SIGKILLs at random moments: while starting, idle, at work, while answering."""
    this, chance = psutil.Process(), random.Random(0)
    descriptors, threads = this.num_fds(), threading.active_count()
    children = {child.pid for child in this.children(recursive=True)}
    answered: list[int] = []
    killed: list[int] = []

    def kill_now_and_then(pool: WorkerPool) -> None:
        while len(killed) < 50:
            time.sleep(chance.uniform(0.0, 0.15))
            pids = pool.worker_pids()
            if pids:
                killed.append(chance.choice(pids))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(killed[-1], signal.SIGKILL)

    futures: list[Future[Done | Failed]] = []
    with WorkerPool(2, max_waiting=20) as pool:
        killer = threading.Thread(target=kill_now_and_then, args=(pool,))
        killer.start()
        while killer.is_alive() or len(futures) < 200:
            index = len(futures)
            futures.append(pool.submit(f"{JOBS}:double_soon", index, chance.uniform(0, 0.02)))
            futures[-1].add_done_callback(lambda _, index=index: answered.append(index))
        results = [future.result(timeout=60) for future in futures]
    assert sorted(answered) == list(range(len(futures)))
    for index, result in enumerate(results):
        if isinstance(result, Failed):
            assert (result.kind, "3 times" in result.detail) == ("crash", True)
        else:
            assert result == Done(2 * index)
    assert sum(isinstance(result, Done) for result in results) > len(results) / 2
    assert this.num_fds() == descriptors
    assert threading.active_count() <= threads
    assert {child.pid for child in this.children(recursive=True)} <= children
    wait_until_gone(sorted(set(killed)))


def test_many_threads_may_submit_at_once(shared: WorkerPool) -> None:
    results: dict[int, Done | Failed] = {}

    def work(start: int) -> None:
        for index in range(start, start + 20):
            results[index] = ask(shared, "double", index)

    threads = [threading.Thread(target=work, args=(20 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {index: Done(2 * index) for index in range(160)}


def test_submit_blocks_when_the_queue_is_full() -> None:
    with WorkerPool(1, max_waiting=2) as pool:
        first = pool.submit(f"{JOBS}:double_soon", 0, 0.5)
        while pool.num_waiting:
            time.sleep(0.001)
        pool.submit(f"{JOBS}:double", 1)
        pool.submit(f"{JOBS}:double", 2)
        assert pool.num_waiting == 2
        assert not first.done()
        last = pool.submit(f"{JOBS}:double", 3)  # waits until the first is through
        assert first.done()
        assert last.result(timeout=30) == Done(6)


def test_a_cancelled_item_does_not_run() -> None:
    with WorkerPool(1) as pool:
        pool.submit(f"{JOBS}:double_soon", 0, 0.2)
        second = pool.submit(f"{JOBS}:double", 1)
        assert second.cancel()
        assert ask(pool, "double", 2) == Done(4)


def test_close_answers_what_is_left_and_is_idempotent() -> None:
    pool = WorkerPool(1, deadline_seconds=30)
    futures = [pool.submit(f"{JOBS}:spin") for _ in range(3)]
    while pool.num_waiting == 3:
        time.sleep(0.001)
    pids = pool.worker_pids()
    began = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - began < 2
    assert {future.result(timeout=5) for future in futures} == {
        Failed("crash", "the pool was closed")
    }
    wait_until_gone(pids)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(f"{JOBS}:double", 1)


def test_close_wakes_a_submit_that_waits_for_room() -> None:
    pool = WorkerPool(1, deadline_seconds=30, max_waiting=1)
    pool.submit(f"{JOBS}:spin")
    while pool.num_waiting:
        time.sleep(0.001)
    pool.submit(f"{JOBS}:spin")
    refused = threading.Event()

    def wait_for_room() -> None:
        with pytest.raises(RuntimeError):
            pool.submit(f"{JOBS}:double", 1)
        refused.set()

    threading.Thread(target=wait_for_room).start()
    time.sleep(0.05)
    pool.close()
    assert refused.wait(5)


def test_the_pool_may_be_closed_in_a_callback() -> None:
    pool = WorkerPool(1)
    closed = threading.Event()

    def close(_: Future[Done | Failed]) -> None:
        pool.close()
        closed.set()

    pool.submit(f"{JOBS}:double", 1).add_done_callback(close)
    assert closed.wait(10)


def test_a_thread_left_behind_does_not_matter(shared: WorkerPool) -> None:
    assert isinstance(ask(shared, "leave_a_thread"), Done)
    assert ask(shared, "double", 5) == Done(10)


def test_workers_leave_our_output_alone(
    shared: WorkerPool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ask(shared, "make_noise") == Done(None)
    assert capfd.readouterr() == ("", "")


def test_big_arguments_and_values_travel(shared: WorkerPool) -> None:
    text = "x" * (5 << 20)
    assert shared.submit("builtins:str", text).result(timeout=30) == Done(text)


@pytest.mark.parametrize(
    "arguments",
    [{"num_workers": 0}, {"memory_mb": 0}, {"max_waiting": 0}, {"deadline_seconds": 0.0}],
)
def test_wrong_settings(arguments: dict[str, float]) -> None:
    with pytest.raises(PonderError, match=next(iter(arguments))):
        WorkerPool(**arguments)  # type: ignore[arg-type]


def test_a_fork_that_comes_back_does_not_answer_the_next_call() -> None:
    with WorkerPool(1, deadline_seconds=10.0, memory_mb=256) as pool:
        assert ask(pool, "forks", 1) == Done(pool.worker_pids()[0])
        time.sleep(0.3)
        assert [ask(pool, "double", n) for n in range(3)] == [Done(0), Done(2), Done(4)]
