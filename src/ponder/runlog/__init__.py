"""The run folder: everything that a run leaves on disk, written so that kill -9 loses nothing.

    RUN/config.toml                      the resolved config
    RUN/metrics.jsonl                    one row per step
    RUN/alarms.jsonl                     what the guards said, if they said anything
    RUN/rollouts/step_000003.jsonl.zst   every rollout
    RUN/checkpoints/step_000010/         a Hugging Face folder; manifest.json completes it
    RUN/summary.json, RUN/report.html    the end of the run
    RUN/lock                             held while a process writes here

POSIX only (flock, fsync of directories).
"""

from ponder.runlog.checkpoint import CheckpointStore
from ponder.runlog.folder import RunFolder
from ponder.runlog.metrics import (
    MetricsWriter,
    append_alarm,
    read_alarms,
    read_metrics,
    truncate_after,
)
from ponder.runlog.rollouts import drop_after, list_steps, read_rollouts, write_rollouts
from ponder.runlog.sinks import Sink, TensorBoardSink, WandbSink
from ponder.runlog.summary import read_json, write_json_atomic

__all__ = [
    "CheckpointStore",
    "MetricsWriter",
    "RunFolder",
    "Sink",
    "TensorBoardSink",
    "WandbSink",
    "append_alarm",
    "drop_after",
    "list_steps",
    "read_alarms",
    "read_json",
    "read_metrics",
    "read_rollouts",
    "truncate_after",
    "write_json_atomic",
    "write_rollouts",
]
