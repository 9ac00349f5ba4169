"""Work that may hang, crash or eat memory, done in processes that can be killed.

``isolated`` for one call, ``WorkerPool`` for many, ``VerifierPool`` for completions.
"""

from ponder.verify.pool.answers import Answer, Done, Failed, FailureKind
from ponder.verify.pool.isolate import isolated
from ponder.verify.pool.verifier_pool import RUNS, Timed, VerifierPool, Where
from ponder.verify.pool.workers import WorkerPool

__all__ = [
    "RUNS",
    "Answer",
    "Done",
    "Failed",
    "FailureKind",
    "Timed",
    "VerifierPool",
    "Where",
    "WorkerPool",
    "isolated",
]
