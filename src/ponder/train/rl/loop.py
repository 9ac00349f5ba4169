"""The R1-Zero loop: sample groups, verify, turn rewards into advantages, update, repeat."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from ponder.config.rl import RLConfig
from ponder.runlog import RunFolder
from ponder.train import guards
from ponder.train.observer import NullObserver, RunObserver
from ponder.train.resume import prepare
from ponder.train.rl.batch import Batch, make_batch
from ponder.train.rl.collect import Collected
from ponder.train.rl.measure import of_step
from ponder.train.rl.record import Record
from ponder.train.rl.session import Session, open_session
from ponder.train.summary import Summary
from ponder.train.threads import keeping_torch_threads


def train(
    config: RLConfig,
    run: RunFolder,
    resume: bool = False,
    observer: RunObserver | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Train a policy by GRPO (R1, arXiv 2501.12948 v2, section 2) and write the run folder.

    Step s samples from policy s and updates it to policy s + 1. Everything random follows from
    (config.seed, s), so an interrupted and resumed run is the uninterrupted one, bit for bit on a
    CPU with the same number of threads.

    Args:
        config: every knob.
        run: a folder with config.toml and nothing else, or with ``resume`` an interrupted run.
        resume: go on from the newest checkpoint (from the start if there is none yet).
        observer: is told what happens.
        should_stop: asked between steps; True ends the run with a checkpoint.

    Raises:
        PonderError: a mistake in the config or the folder; a run that is finished already.
        GuardError: the run is broken (see ``guards``); the newest checkpoint is intact.
    """
    with run.lock(), keeping_torch_threads():
        checkpoint = prepare(run, config.checkpoint, resume, config.steps)
        session = open_session(config, checkpoint, run.path)
        recording = closing(Record(run, session, observer or NullObserver()))
        with session.verifiers, recording as record:
            return run_loop(session, record, should_stop)


def scored_batch(session: Session, collected: Collected, step: int) -> Batch:
    """The chosen groups of a step, with the log-probabilities that ratios are taken to."""
    batch = make_batch(collected.chosen, session.config, step)
    session.policy.score(batch)
    return batch


def run_loop(
    session: Session,
    record: Record,
    should_stop: Callable[[], bool],
    batch_of: Callable[[Session, Collected, int], Batch] = scored_batch,
) -> Summary:
    """The loop itself; ``train`` opens what it needs. Ends with a checkpoint and an evaluation.

    ``batch_of`` makes of the rollouts of a step what its updates learn from.
    """
    config, policy, generator = session.config, session.policy, session.generator
    record.start()
    step, stopped = session.first_step, False
    while step < config.steps:
        evaluation = record.evaluate(step)
        if stopped := should_stop():
            break
        with record.phase(step, "rollout"):
            collected = session.collect(step)
        with record.phase(step, "update"):
            batch = batch_of(session, collected, step)
            updates = [policy.update(minibatch) for minibatch in batch.minibatches]
            generator.load(policy.model, version=step + 1)
            guards.check_handover(policy.model, generator.model, step)
        record.step(step, collected, of_step(updates), evaluation)
        step += 1
    guards.check_progress(session.first_step, step, config.steps, stopped)
    return record.end(step)
