"""Training a reward model: a scalar head and its decoder, on pairs or on labels.

Source: R1 (arXiv 2501.12948 v2, 3.1): batch 256, learning rate 6e-6, one epoch, 8,192 tokens; the
helpful model pairwise on final answers, the safety model pointwise on whole completions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from ponder.config.reward_model import RewardModelConfig
from ponder.runlog import RunFolder
from ponder.train.observer import NullObserver, RunObserver
from ponder.train.resume import prepare
from ponder.train.reward.record import RewardRecord
from ponder.train.reward.session import open_session
from ponder.train.reward.summary import RewardSummary
from ponder.train.threads import keeping_torch_threads
from ponder.train.update_loop import run_updates


def train_reward_model(
    config: RewardModelConfig,
    run: RunFolder,
    resume: bool = False,
    observer: RunObserver | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RewardSummary:
    """Train and write the run folder; the last checkpoint is a folder for ``open_reward_model``.

    One step is one update. A run that was stopped or killed ends, resumed, with the weights of the
    uninterrupted one, bit for bit on a CPU with the same number of threads. The last checkpoint
    knows the mean and spread of held-out scores, the last row of metrics.jsonl the accuracy.

    Args:
        config: every knob.
        run: a folder with config.toml and nothing else, or with ``resume`` an interrupted run.
        resume: go on from the newest checkpoint (from the start if there is none yet).
        observer: is told what happens.
        should_stop: asked between steps; True ends the run with a checkpoint.

    Raises:
        PonderError: a mistake in the config, the data or the folder; a run that is finished.
        GuardError: the loss is not finite; the newest checkpoint is intact.
    """
    with run.lock(), keeping_torch_threads():
        session = open_session(config, prepare(run, config.checkpoint, resume))
        record = RewardRecord(run, session, observer or NullObserver())
        with closing(record):
            return run_updates(session, record, should_stop)
