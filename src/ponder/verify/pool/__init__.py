"""Work that may hang, crash or eat memory, done in processes that can be killed."""

from ponder.verify.pool.answers import Done, Failed, FailureKind
from ponder.verify.pool.isolate import isolated
from ponder.verify.pool.workers import WorkerPool

__all__ = ["Done", "Failed", "FailureKind", "WorkerPool", "isolated"]
