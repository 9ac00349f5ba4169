"""One call in a worker of the process-wide pool."""

from __future__ import annotations

import os
import threading
import time

from ponder.verify.pool.answers import Answer, Done, Failed
from ponder.verify.pool.call import Here, describe, function_named
from ponder.verify.pool.workers import WorkerPool

_MAX_WORKERS = 8


def isolated(function: str, *args: object, deadline_seconds: float = 2.0) -> Answer:
    """Call ``function`` ("package.module:name") where it can be killed; see ``WorkerPool.submit``.

    Inside a worker it is called right there, on that worker's deadline: the worker is what gets
    killed. Elsewhere it runs in the default pool, whose workers start at the first call. Never
    raises on what the function does.
    """
    if Here.is_worker:
        return _right_here(function, args)
    return _DEFAULT.pool().submit(function, *args, deadline_seconds=deadline_seconds).result()


def _right_here(function: str, args: tuple[object, ...]) -> Answer:
    began = time.perf_counter()
    try:
        value = function_named(function)(*args)
    except MemoryError as error:
        return Failed("memory", describe(error), time.perf_counter() - began)
    except Exception as error:  # noqa: BLE001 - whatever it raises is an answer
        return Failed("exception", describe(error), time.perf_counter() - began)
    return Done(value, time.perf_counter() - began)


class _Default:
    """The process-wide pool, made when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: WorkerPool | None = None

    def pool(self) -> WorkerPool:
        with self._lock:
            if self._pool is None:
                self._pool = WorkerPool(min(_MAX_WORKERS, os.cpu_count() or 1))
            return self._pool

    def renew_lock(self) -> None:
        """In a forked child: another thread may have held it."""
        self._lock = threading.Lock()


_DEFAULT = _Default()
os.register_at_fork(after_in_child=_DEFAULT.renew_lock)
