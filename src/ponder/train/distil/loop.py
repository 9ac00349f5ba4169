"""On-policy distillation: the student samples, the teacher scores, reverse KL is minimised."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from ponder.config.distil import DistilConfig
from ponder.runlog import RunFolder
from ponder.train.distil.session import make_batch, open_session
from ponder.train.observer import NullObserver, RunObserver
from ponder.train.resume import prepare
from ponder.train.rl.batch import Batch
from ponder.train.rl.collect import Collected
from ponder.train.rl.loop import run_loop
from ponder.train.rl.record import Record
from ponder.train.rl.session import Session
from ponder.train.summary import Summary
from ponder.train.threads import keeping_torch_threads


def distil_on_policy(
    config: DistilConfig,
    run: RunFolder,
    resume: bool = False,
    observer: RunObserver | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Train a student towards a teacher on the student's own samples and write the run folder.

    The run folder, resuming and randomness are those of ``grpo.train``; completions are verified
    for the metrics alone. Sources: ``algo.distillation``.

    Raises:
        PonderError: a mistake in the config or the folder; a run that is finished already.
        GuardError: the run is broken (see ``guards``); the newest checkpoint is intact.
    """
    with run.lock(), keeping_torch_threads():
        checkpoint = prepare(run, config.checkpoint, resume, config.on_policy.steps)
        session = open_session(config, run, checkpoint)
        recording = closing(Record(run, session, observer or NullObserver()))
        with session.verifiers, recording as record:
            return run_loop(session, record, should_stop, every_completion)


def every_completion(session: Session, collected: Collected, step: int) -> Batch:
    """All groups of a step: the teacher scores right and wrong ones."""
    return make_batch(collected.groups, session.config, step)
