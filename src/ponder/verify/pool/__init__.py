"""Work that may hang, crash or eat memory, done in processes that can be killed.

``isolated`` for one call, ``WorkerPool`` for many.
"""

from ponder.verify.pool.answers import Answer, Done, Failed, FailureKind
from ponder.verify.pool.isolate import isolated
from ponder.verify.pool.workers import WorkerPool

__all__ = ["Answer", "Done", "Failed", "FailureKind", "WorkerPool", "isolated"]
