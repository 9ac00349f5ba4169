"""The sandbox: programs in, outcomes out, from any thread."""

from __future__ import annotations

import dataclasses
import os
import threading
import weakref
from types import TracebackType

from ponder.errors import PonderError
from ponder.sandbox.collect import ZygoteGone
from ponder.sandbox.inside.request import CHECK
from ponder.sandbox.jobs import CppJob, Job, Limits, Outcome, SandboxLost
from ponder.sandbox.parcel import Parcel, parcel_of
from ponder.sandbox.users import user_for
from ponder.sandbox.zygotes import Zygote


class Sandbox:
    """Runs hostile programs, each in a process that may compute and nothing else.

    Thread-safe: up to ``num_parallel`` runs at once (the usable cores, if None), further callers
    wait. Zygotes are started when first needed, cost about 0.2 s and 20 MiB each, and end with
    ``close``, with this process however it ends, or when one fails (the next call starts
    another). A forked copy of this process starts its own.

    PonderError where the machine lacks the isolation. With ``unsafe=True`` programs then run
    with resource limits only, able to read, write and connect: ``is_isolated`` is False.
    """

    def __init__(self, unsafe: bool = False, num_parallel: int | None = None) -> None:
        if num_parallel is not None and num_parallel < 1:
            raise PonderError("num_parallel", num_parallel, "must be at least 1")
        self.is_isolated = True
        self._num_parallel = num_parallel or len(os.sched_getaffinity(0))
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        self._permits = threading.BoundedSemaphore(self._num_parallel)
        self._lock = threading.Lock()
        self._idle: list[Zygote] = []
        self._all: set[Zygote] = set()
        self._num_started = 0
        self._is_closed = False

    def run(self, job: Job, limits: Limits | None = None) -> Outcome:
        """Run one job to its end; SandboxLost if the sandbox (not the program) failed twice."""
        limits = limits or Limits()
        if isinstance(job, CppJob):
            raise NotImplementedError
        return self._run(parcel_of(job, limits), limits)

    def _run(self, parcel: Parcel, limits: Limits) -> Outcome:
        with self._permits:
            try:
                outcome = self._try(parcel, limits)
            except ZygoteGone:
                try:
                    outcome = self._try(parcel, limits)
                except ZygoteGone as error:
                    raise SandboxLost(str(error)) from error
        if parcel.kind != CHECK:
            return outcome
        passed = outcome.status == "finished" and outcome.result == parcel.nonce
        return dataclasses.replace(outcome, passed=passed, result=None)

    def _try(self, parcel: Parcel, limits: Limits) -> Outcome:
        zygote = self._take()
        try:
            outcome = zygote.run(parcel, limits)
        except BaseException:  # also an interrupt: its run may still go on
            with self._lock:
                self._all.discard(zygote)
            zygote.close()
            raise
        with self._lock:
            self._idle.append(zygote)
        return outcome

    def _take(self) -> Zygote:
        with self._lock:
            if self._is_closed:
                raise PonderError("sandbox", "closed", "make a new Sandbox()")
            if self._idle:
                return self._idle.pop()
            slot = self._num_started
            self._num_started += 1
        zygote = Zygote(user_for(slot))
        with self._lock:
            self._all.add(zygote)
        return zygote

    def close(self) -> None:
        """End every zygote, and with it any run that is under way."""
        with self._lock:
            self._is_closed = True
            zygotes, self._all, self._idle = self._all, set(), []
        for zygote in zygotes:
            zygote.close()

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
        for zygote in self._all:
            zygote.forget()
        self._begin()


_living: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _after_fork() -> None:
    for sandbox in list(_living):
        sandbox._forget()


os.register_at_fork(after_in_child=_after_fork)
