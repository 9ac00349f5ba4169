"""The sandbox: programs in, outcomes out, from any thread."""

from __future__ import annotations

import atexit
import dataclasses
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from ponder.errors import PonderError
from ponder.sandbox.collect import ZygoteGone
from ponder.sandbox.compiler import Compiler
from ponder.sandbox.inside.request import CHECK, CPP
from ponder.sandbox.jobs import CppJob, Job, Limits, Outcome, SandboxLost
from ponder.sandbox.parcel import Parcel, parcel_of
from ponder.sandbox.plain import run_plain
from ponder.sandbox.probe import probe
from ponder.sandbox.users import NUM_SLOTS, user_for
from ponder.sandbox.zygotes import Zygote


class Sandbox:
    """Runs hostile programs, each in a process that may compute and nothing else.

    Thread-safe: up to ``num_parallel`` runs at once (the usable cores, if None), further callers
    wait. Zygotes are started when first needed, cost about 0.1 s and 15 MiB each, and end with
    ``close``, with this process however it ends, or when one fails (the next call starts
    another). A forked copy of this process starts its own.

    PonderError where the machine lacks the isolation. With ``unsafe=True`` programs then run
    with resource limits only, able to read, write and connect: ``is_isolated`` is False. Where
    the isolation is there it is used, asked for or not.
    """

    def __init__(self, unsafe: bool = False, num_parallel: int | None = None) -> None:
        if num_parallel is not None and not 1 <= num_parallel <= NUM_SLOTS // 2:
            raise PonderError("num_parallel", num_parallel, f"must be 1 to {NUM_SLOTS // 2}")
        found = probe()
        if not unsafe:
            found.refuse()
        self.is_isolated = found.ok
        self._num_parallel = num_parallel or min(usable_cpus(), NUM_SLOTS // 2)
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        self._permits = threading.BoundedSemaphore(self._num_parallel)
        self._lock = threading.Lock()
        self._compiler = Compiler()
        self._idle: list[Zygote] = []
        self._busy: set[Zygote] = set()
        self._free_slots = set(range(NUM_SLOTS))
        self._is_closed = False

    def run(self, job: Job, limits: Limits | None = None) -> Outcome:
        """Run one job to its end; SandboxLost if the sandbox (not the program) failed twice."""
        limits = limits or Limits()
        with self._permits:
            parcel = self._parcel(job, limits)
            if isinstance(parcel, Outcome):
                return parcel
            outcome = self._run(parcel, limits)
        if parcel.kind != CHECK:
            return outcome
        passed = outcome.status == "finished" and outcome.result == parcel.nonce
        return dataclasses.replace(outcome, passed=passed, result=None)

    def _parcel(self, job: Job, limits: Limits) -> Parcel | Outcome:
        """What to run; for a C++ program that cannot be compiled, its end."""
        if not isinstance(job, CppJob):
            return parcel_of(job, limits)
        if not self.is_isolated:
            raise PonderError("job", "C++", "runs in an isolated sandbox only")
        with self._slot() as slot:
            made = self._compiler.compile(job.source, user_for(slot), limits)
        return made if isinstance(made, Outcome) else Parcel(CPP, made, job.stdin)

    def _run(self, parcel: Parcel, limits: Limits) -> Outcome:
        if not self.is_isolated:
            return run_plain(parcel, limits)
        try:
            return self._try(parcel, limits)
        except ZygoteGone:
            pass  # killed from outside, perhaps: once more with a new one
        try:
            return self._try(parcel, limits)
        except ZygoteGone as error:
            raise SandboxLost(str(error)) from error

    def _try(self, parcel: Parcel, limits: Limits) -> Outcome:
        zygote = self._take()
        try:
            outcome = zygote.run(parcel, limits)
        except BaseException:  # also an interrupt: its run may still go on
            self._end([zygote])
            raise
        with self._lock:
            self._busy.discard(zygote)
            if not self._is_closed:
                self._idle.append(zygote)
                return outcome
        self._end([zygote])
        return outcome

    def _take(self) -> Zygote:
        with self._lock:
            if self._is_closed:
                raise PonderError("sandbox", "closed", "make a new Sandbox()")
            if self._idle:
                zygote = self._idle.pop()
                self._busy.add(zygote)
                return zygote
            slot = self._free_slots.pop()
        try:
            zygote = Zygote(user_for(slot), slot)
        except BaseException:
            with self._lock:
                self._free_slots.add(slot)
            raise
        with self._lock:
            self._busy.add(zygote)
        return zygote

    def _end(self, zygotes: list[Zygote]) -> None:
        for zygote in zygotes:
            zygote.close()
        with self._lock:
            self._busy.difference_update(zygotes)
            self._free_slots.update(zygote.slot for zygote in zygotes)

    @contextmanager
    def _slot(self) -> Iterator[int]:
        with self._lock:
            slot = self._free_slots.pop()
        try:
            yield slot
        finally:
            with self._lock:
                self._free_slots.add(slot)

    def close(self) -> None:
        """End every zygote that is idle now, and the others as soon as their run has ended."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        self._end(idle)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _forget(self) -> None:
        for zygote in (*self._idle, *self._busy):
            zygote.forget()
        self._begin()


def usable_cpus() -> int:
    """The logical CPUs that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_living: weakref.WeakSet[Sandbox] = weakref.WeakSet()
_default_lock = threading.Lock()
_default: list[Sandbox] = []


def default_sandbox(unsafe: bool = False) -> Sandbox:
    """The sandbox of this process, made at the first call, which also decides ``unsafe``.

    PonderError as of ``Sandbox()``.
    """
    with _default_lock:
        if not _default:
            _default.append(Sandbox(unsafe))
        return _default[0]


def _after_fork() -> None:
    global _default_lock
    _default_lock = threading.Lock()
    for sandbox in list(_living):
        sandbox._forget()


def _at_exit() -> None:
    for sandbox in list(_living):
        sandbox.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
