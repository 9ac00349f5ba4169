"""Every verifier where it belongs: in the caller, in a killable worker, or in a thread."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Literal, Protocol, TypeVar

from ponder.sandbox.sandbox import default_sandbox, usable_cpus
from ponder.types import BY_MODEL, Judgement, Problem, Verdict
from ponder.verify import custom
from ponder.verify.gym import is_cheap
from ponder.verify.pool.answers import Answer, Failed
from ponder.verify.pool.call import describe
from ponder.verify.pool.workers import WorkerPool
from ponder.verify.verifiers import refuse_model, verifier_named, verify

Where = Literal["inline", "process", "thread", "model"]
"""``inline``: in the caller, for what is cheap and linear in the text. ``process``: in a worker
that is killed at its deadline. ``thread``: for what runs a killable process of its own (code).
``model``: by a model that the caller opened and gave to the pool."""

RUNS: dict[str, Where] = {
    "exact": "inline",
    "code": "thread",
    **dict.fromkeys(BY_MODEL, "model"),
}
"""Where each verifier runs, by its name in the registry; ``process`` unless it is here."""

IS_CHEAP: Mapping[str, Callable[[Problem], bool]] = {
    "gym": is_cheap,
}
"""Of a verifier that runs in a process: which problems it may judge inline all the same."""

IMPORTS: Mapping[str, tuple[str, ...]] = {
    "gym": ("reasoning_gym",),
    "math": ("ponder.verify.math.symbolic",),
}
"""What a verifier imports at its first call; a worker imports it before the clock runs."""

DEADLINES: Mapping[str, float] = {"gym": 10.0}
"""Seconds for verifiers that may need more than the pool's deadline: some build a data set."""

_VERIFIERS = "ponder.verify.verifiers"
_VERIFY = f"{_VERIFIERS}:verify"


class Awaited(Protocol):
    """A judgement to come."""

    def result(self) -> Judgement:
        """Wait for it."""
        ...


class ModelJudge(Protocol):
    """A model that judges: ``Preference``, ``LLMJudge``."""

    def submit(self, problem: Problem, completion_text: str) -> Awaited:
        """Have a completion judged, together with others."""
        ...


Before = TypeVar("Before")
After = TypeVar("After")


@dataclass(frozen=True, slots=True)
class Timed:
    """A judgement, and the seconds that the verifier took (without waiting)."""

    judgement: Judgement
    seconds: float


class VerifierPool:
    """Judges completions while the caller goes on. Thread-safe.

    ``submit`` returns at once, unless ``max_waiting`` completions wait already: then it blocks.
    A timeout, a crash or an exception of ours is the verdict ``error``, with the reason.

    Args:
        num_workers: the most processes, and threads for the verifiers that run in one; default:
            the cores, and no more than 32.
        deadline_seconds, memory_mb, max_waiting: see ``WorkerPool``.
        runs: where verifiers run, in place of ``RUNS``.
        models: what judges the problems of the verifiers that are models, by their names. Those
            are asked on the calling thread, and what is thread-safe is as they are.
    """

    def __init__(
        self,
        num_workers: int | None = None,
        deadline_seconds: float = 2.0,
        memory_mb: int = 1024,
        max_waiting: int = 4096,
        runs: Mapping[str, Where] = RUNS,
        models: Mapping[str, ModelJudge] | None = None,
    ) -> None:
        self.num_workers = min(usable_cpus(), 32) if num_workers is None else num_workers
        self._workers = WorkerPool(self.num_workers, deadline_seconds, memory_mb, max_waiting)
        self._runs = runs
        self._models = dict(models or {})
        self._max_waiting = max_waiting
        self._start_threads()
        _POOLS.add(self)

    def _start_threads(self) -> None:
        self._threads = ThreadPoolExecutor(self.num_workers, "ponder-verify")
        self._room = threading.BoundedSemaphore(self._max_waiting + self.num_workers)

    def prepare(self, problems: Iterable[Problem], unsafe: bool = False) -> list[str]:
        """Start the workers that such problems need, and their imports, without waiting for it.

        Returns what a user should know, in sentences.

        Raises PonderError where programs are to be run and cannot be isolated, unless ``unsafe``.
        """
        problems = list(problems)
        names = {problem.verifier for problem in problems if self._where(problem) == "process"}
        modules = [_VERIFIERS, *(module for name in sorted(names) for module in _imports(name))]
        for _ in range(self.num_workers if names else 0):
            self._workers.submit("builtins:bool", modules=modules)
        if not any(problem.verifier == "code" for problem in problems):
            return []
        is_isolated = default_sandbox(unsafe).is_isolated
        return [] if is_isolated else ["the model's programs run WITHOUT isolation (unsafe = true)"]

    def submit(self, problem: Problem, completion_text: str) -> Awaited:
        """The judgement to come; of a rule it is a future without an exception.

        Raises:
            PonderError: there is no verifier of that name, or no such model is open.
            RuntimeError: the pool is closed.
        """
        model = self._models.get(problem.verifier)
        if model is not None:
            return model.submit(problem, completion_text)
        return _mapped(self.submit_timed(problem, completion_text), lambda timed: timed.judgement)

    def submit_timed(self, problem: Problem, completion_text: str) -> Future[Timed]:
        """As ``submit``, with the time that the verifier took."""
        verifier_named(problem.verifier)
        where = self._where(problem)
        if where == "model":
            refuse_model(problem, completion_text)
        if where == "thread":
            return self._submit_to_thread(problem, completion_text)
        if where == "inline":
            judged: Future[Timed] = Future()
            judged.set_result(_judge_here(problem, completion_text))
            return judged
        answer = self._workers.submit(
            _VERIFY,
            problem,
            completion_text,
            deadline_seconds=self._deadline_seconds(problem.verifier),
            modules=_imports(problem.verifier),
        )
        return _mapped(answer, _judgement_of)

    def _deadline_seconds(self, verifier: str) -> float:
        own = custom.DEADLINE_SECONDS if custom.is_custom(verifier) else DEADLINES.get(verifier, 0)
        return max(self._workers.deadline_seconds, own)

    def _where(self, problem: Problem) -> Where:
        where = self._runs.get(problem.verifier, "process")
        cheap = IS_CHEAP.get(problem.verifier)
        return "inline" if where == "process" and cheap and cheap(problem) else where

    def _submit_to_thread(self, problem: Problem, completion_text: str) -> Future[Timed]:
        room = self._room
        room.acquire()
        try:
            judged = self._threads.submit(_judge_here, problem, completion_text)
        except RuntimeError as error:
            room.release()
            raise RuntimeError("the pool is closed") from error
        judged.add_done_callback(lambda _: room.release())
        return _or_closed(judged)

    def judge_all(self, pairs: Iterable[tuple[Problem, str]]) -> list[Judgement]:
        """The judgements of (problem, completion text) pairs, in their order."""
        return [future.result() for future in [self.submit(*pair) for pair in pairs]]

    @property
    def num_waiting(self) -> int:
        """Completions that wait for a worker process."""
        return self._workers.num_waiting

    def worker_pids(self) -> list[int]:
        """The processes there are now."""
        return self._workers.worker_pids()

    def close(self) -> None:
        """End the workers; what has no verdict yet becomes ``error``. Idempotent."""
        self._workers.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> VerifierPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def renew_threads(self) -> None:
        """In a forked child: the threads are the parent's."""
        self._start_threads()


def _imports(verifier: str) -> tuple[str, ...]:
    module, colon, _ = verifier.partition(":")  # a user's own verifier names its module
    return (module,) if colon else IMPORTS.get(verifier, ())


def _judge_here(problem: Problem, completion_text: str) -> Timed:
    began = perf_counter()
    try:
        judgement = verify(problem, completion_text)
    except Exception as error:  # noqa: BLE001 - a verifier that raises is our fault: error
        judgement = Judgement(Verdict.ERROR, None, f"exception: {describe(error)}")
    return Timed(judgement, perf_counter() - began)


def _judgement_of(answer: Answer) -> Timed:
    if isinstance(answer, Failed):
        reason = f"{answer.kind}: {answer.detail}"
        return Timed(Judgement(Verdict.ERROR, None, reason), answer.seconds)
    if not isinstance(answer.value, Judgement):
        reason = f"the verifier returned {type(answer.value).__name__}, not a Judgement"
        return Timed(Judgement(Verdict.ERROR, None, reason), answer.seconds)
    return Timed(answer.value, answer.seconds)


def _mapped(source: Future[Before], change: Callable[[Before], After]) -> Future[After]:
    """A future of the changed result. It cannot be cancelled: every item gets its answer."""
    changed: Future[After] = Future()
    changed.set_running_or_notify_cancel()
    source.add_done_callback(lambda done: changed.set_result(change(done.result())))
    return changed


def _or_closed(source: Future[Timed]) -> Future[Timed]:
    """The same result, but the verdict ``error`` where ``close`` cancelled the call."""
    ended: Future[Timed] = Future()
    ended.set_running_or_notify_cancel()
    source.add_done_callback(
        lambda done: ended.set_result(_CLOSED if done.cancelled() else done.result())
    )
    return ended


_CLOSED = Timed(Judgement(Verdict.ERROR, None, "crash: the pool was closed"), 0.0)
_POOLS: weakref.WeakSet[VerifierPool] = weakref.WeakSet()


def _renew_all() -> None:
    for pool in list(_POOLS):
        pool.renew_threads()


os.register_at_fork(after_in_child=_renew_all)
