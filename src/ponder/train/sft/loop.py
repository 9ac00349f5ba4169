"""Supervised fine-tuning: cross-entropy on completions, packed without attention across samples."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

from ponder.config.sft import SFTConfig
from ponder.runlog import RunFolder
from ponder.train.observer import NullObserver, RunObserver
from ponder.train.resume import prepare
from ponder.train.sft.record import SFTRecord, samples_dir
from ponder.train.sft.session import open_session
from ponder.train.sft.summary import SFTSummary
from ponder.train.threads import keeping_torch_threads
from ponder.train.update_loop import run_updates


def fine_tune(
    config: SFTConfig,
    run: RunFolder,
    resume: bool = False,
    observer: RunObserver | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SFTSummary:
    """Fine-tune a model on prompts and completions and write the run folder.

    One step is one update. Which samples it has follows from (config.seed, step), so an interrupted
    and resumed run is the uninterrupted one, bit for bit on a CPU with the same number of threads.
    Source: R1 (arXiv 2501.12948 v2, B.4.2) for epochs, batch and learning rates; DeepSeek-V3
    (2412.19437, section 5.1) for samples that do not see each other.

    Args:
        config: every knob.
        run: a folder with config.toml and nothing else, or with ``resume`` an interrupted run.
        resume: go on from the newest checkpoint (from the start if there is none yet).
        observer: is told what happens.
        should_stop: asked between steps; True ends the run with a checkpoint.

    Raises:
        PonderError: a mistake in the config, the data or the folder; a run that is finished.
        GuardError: the run is broken (see ``guards``); the newest checkpoint is intact.
    """
    with run.lock(), keeping_torch_threads(), ExitStack() as resources:
        checkpoint = prepare(run, config.checkpoint, resume)
        session = open_session(config, checkpoint, samples_dir(run), resources)
        record = SFTRecord(run, session, observer or NullObserver())
        with closing(record):
            return run_updates(session, record, should_stop)
