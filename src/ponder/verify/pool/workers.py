"""A pool of killable worker processes, each with a thread of ours that watches over it."""

from __future__ import annotations

import atexit
import os
import pickle
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType

from ponder.errors import PonderError
from ponder.verify.pool.answers import Answer, Done, Failed
from ponder.verify.pool.call import Request, describe, module_of
from ponder.verify.pool.channel import MAX_REQUEST_BYTES
from ponder.verify.pool.process import Lost, WorkerProcess

MAX_ATTEMPTS = 3
"""How many workers an item is given to when they are lost through no fault of its own."""

MAX_ARGUMENT_BYTES = MAX_REQUEST_BYTES // 2
_JOIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Item:
    request: Request
    future: Future[Answer]


class WorkerPool:
    """Calls functions in worker processes with a deadline for each call.

    Thread-safe. Workers are started when there is work for them, are replaced when they die, and
    end with this process, however that ends. In a forked child the pool starts anew, with workers
    of its own; futures from before the fork stay with the parent.

    Args:
        num_workers: the most processes at a time.
        deadline_seconds: of a call, from the start of its work: neither waiting in the queue nor
            the start of a process nor imports count.
        memory_mb: what a call may take on top of what its worker has when idle.
        max_waiting: the most calls that wait for a worker; ``submit`` blocks beyond it.
        start_seconds: what the start of a process and imports may take, which no deadline counts.
    """

    def __init__(
        self,
        num_workers: int = 1,
        deadline_seconds: float = 2.0,
        memory_mb: int = 1024,
        max_waiting: int = 1024,
        start_seconds: float = 60.0,
    ) -> None:
        counts = {"num_workers": num_workers, "memory_mb": memory_mb, "max_waiting": max_waiting}
        for name, value in counts.items():
            if value < 1:
                raise PonderError(name, value, "use at least 1")
        if deadline_seconds <= 0:
            raise PonderError("deadline_seconds", deadline_seconds, "use more than 0")
        self.num_workers = num_workers
        self.deadline_seconds = deadline_seconds
        self.memory_mb = memory_mb
        self.max_waiting = max_waiting
        self.start_seconds = start_seconds
        self._reset()
        _POOLS.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._waiting: deque[_Item] = deque()
        self._num_idle = 0
        self._slots: list[_Slot] = []
        self._modules: dict[str, None] = {}
        self._is_closed = False

    @property
    def num_waiting(self) -> int:
        """Calls that no worker has taken up yet."""
        return len(self._waiting)

    def submit(
        self,
        function: str,
        *args: object,
        deadline_seconds: float | None = None,
        modules: Sequence[str] = (),
    ) -> Future[Answer]:
        """Call ``function`` ("package.module:name") on ``args`` in a worker.

        The future's result is ``Done`` or ``Failed``; it has no exception. The function should be
        pure: it runs again, up to three times in all, if its worker is killed from outside (one
        that crashes or is too slow is not called again). Blocks while ``max_waiting`` calls wait.
        Callbacks of the future run in the thread that watches the worker: keep them short.

        Args:
            modules: imported before the call's time starts, for functions that import lazily.

        Raises:
            RuntimeError: the pool is closed.
        """
        imports = (module_of(function), *modules)
        seconds = self.deadline_seconds if deadline_seconds is None else deadline_seconds
        future: Future[Answer] = Future()
        try:
            arguments = pickle.dumps(args)
        except Exception as error:  # noqa: BLE001 - an argument's own pickling may raise anything
            future.set_result(Failed("exception", f"arguments cannot travel: {describe(error)}"))
            return future
        if len(arguments) > MAX_ARGUMENT_BYTES:
            detail = f"arguments cannot travel: {len(arguments)} bytes"
            future.set_result(Failed("exception", detail))
            return future
        self._put(_Item(Request(function, imports, arguments, seconds), future))
        return future

    def _put(self, item: _Item) -> None:
        with self._lock:
            while len(self._waiting) >= self.max_waiting and not self._is_closed:
                self._room.wait()
            if self._is_closed:
                raise RuntimeError("the pool is closed")
            self._waiting.append(item)
            if len(self._waiting) > self._num_idle and len(self._slots) < self.num_workers:
                self._slots.append(_Slot(self))
            self._work.notify()

    def take(self) -> _Item | None:
        """The next item for a slot; None when the pool is closed."""
        with self._lock:
            self._num_idle += 1
            while not self._waiting and not self._is_closed:
                self._work.wait()
            self._num_idle -= 1
            if self._is_closed:
                return None
            self._room.notify()
            return self._waiting.popleft()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @property
    def known_modules(self) -> tuple[str, ...]:
        """What a fresh worker imports before it is needed."""
        with self._lock:
            return tuple(self._modules)

    def remember(self, modules: Sequence[str]) -> None:
        """These were imported and did no harm."""
        if not self._modules.keys() >= set(modules):
            with self._lock:
                self._modules.update(dict.fromkeys(modules))

    def worker_pids(self) -> list[int]:
        """The processes there are now."""
        workers = [slot.worker for slot in self._slots]
        return [worker.pid for worker in workers if worker is not None]

    def close(self) -> None:
        """Kill the workers. Calls without an answer get ``Failed("crash", ...)``. Idempotent."""
        with self._lock:
            self._is_closed = True
            left, self._waiting = self._waiting, deque()
            self._work.notify_all()
            self._room.notify_all()
            slots = list(self._slots)
        for item in left:
            if item.future.set_running_or_notify_cancel():
                item.future.set_result(_CLOSED)
        for slot in slots:
            slot.stop()

    def forget(self) -> None:
        """In a forked child: start anew (the threads and the workers are the parent's)."""
        was_closed = self._is_closed
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.forget()
        self._reset()
        self._is_closed = was_closed

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Slot:
    """A thread, and the worker it starts, calls and replaces."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self.worker: WorkerProcess | None = None
        self._thread = threading.Thread(target=self._run, name="ponder-pool", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while (item := self._pool.take()) is not None:
                if item.future.set_running_or_notify_cancel():
                    item.future.set_result(self._answer(item.request))
                self._replace_spent_worker()
        finally:
            self._drop_worker()

    def _answer(self, request: Request) -> Answer:
        try:
            lost = Lost("never started")
            for _ in range(MAX_ATTEMPTS):
                worker = self._usable_worker()
                answer = worker.call(request)
                if self._pool.is_closed and not worker.is_usable:
                    return _CLOSED
                if isinstance(answer, Done):
                    self._pool.remember(request.modules)
                if not isinstance(answer, Lost):
                    return answer
                lost = answer
            return Failed("crash", f"{lost.detail}, {MAX_ATTEMPTS} times")
        except Exception as error:  # noqa: BLE001 - no item may stay without an answer
            return Failed("crash", f"no worker: {describe(error)}")

    def _usable_worker(self) -> WorkerProcess:
        if self.worker is None or not self.worker.is_usable:
            self._drop_worker()
            self.worker = WorkerProcess(self._pool.memory_mb, self._pool.start_seconds)
            if self._pool.is_closed:  # close() may have looked before it was there
                self.worker.kill()
        return self.worker

    def _replace_spent_worker(self) -> None:
        """Start the next worker now rather than when the next item waits for it."""
        if self.worker is None or self.worker.is_usable or self._pool.is_closed:
            return
        try:
            self._usable_worker().prepare(Request(None, self._pool.known_modules, b"", 0.0))
        except Exception:  # noqa: BLE001 - the thread lives on
            self._drop_worker()  # the next item tries again, and says why it cannot

    def _drop_worker(self) -> None:
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.discard()

    def stop(self) -> None:
        """After the pool is closed: kill the worker, end the thread."""
        if (worker := self.worker) is not None:
            worker.kill()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)


_CLOSED = Failed("crash", "the pool was closed")
_POOLS: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


def _close_all() -> None:
    for pool in list(_POOLS):
        pool.close()


def _forget_all() -> None:
    for pool in list(_POOLS):
        pool.forget()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
