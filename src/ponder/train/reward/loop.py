"""Training a reward model: a scalar head and its decoder, on pairs or on labels.

Source: R1 (arXiv 2501.12948 v2, 3.1): batch 256, learning rate 6e-6, one epoch, 8,192 tokens; the
helpful model pairwise on final answers, the safety model pointwise on whole completions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch

from ponder.config.reward_model import RewardModelConfig
from ponder.errors import GuardError
from ponder.models.reward import RewardFacts, RewardModel, new_reward_model, open_reward_model
from ponder.runlog import RunFolder
from ponder.runlog.checkpoint import checkpoint_step
from ponder.train import guards
from ponder.train.observer import NullObserver, RunObserver
from ponder.train.optimizer import Optimizer, make_optimizer
from ponder.train.resume import prepare
from ponder.train.reward.data import Example, batch_of, load_examples, passes
from ponder.train.reward.record import STATE, RewardRecord, RewardSession
from ponder.train.reward.scores import judge, score
from ponder.train.reward.summary import RewardSummary
from ponder.train.schedule import learning_rate
from ponder.train.threads import keeping_torch_threads, set_torch_threads


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
            return _run_loop(session, record, should_stop)


def _run_loop(
    session: RewardSession, record: RewardRecord, should_stop: Callable[[], bool]
) -> RewardSummary:
    config, train = session.config, session.examples.train
    record.start()
    step, stopped = session.first_step, False
    while step < session.steps:
        evaluation = record.evaluate(step).row() if step == 0 else {}
        if stopped := should_stop():
            break
        places = batch_of(step, len(train), config.batch_size, config.seed)
        rate = learning_rate(config.optimizer, step, session.steps)
        with record.phase(step, "update"):
            batch = [train[i] for i in places]
            row = update(session.model, session.optimizer, batch, rate, config)
        record.step(step, row, evaluation)
        step += 1
    guards.check_progress(session.first_step, step, session.steps, stopped)
    return record.end(step)


def open_session(config: RewardModelConfig, checkpoint: Path | None) -> RewardSession:
    """Model, tokenizer, optimizer and data, at a checkpoint or the start.

    Sets torch's number of threads; a resumed run takes the one it began with, unless the config
    names one. Raises PonderError: see ``load_examples`` and ``new_reward_model``.
    """
    state = None
    if checkpoint is not None:
        state = torch.load(checkpoint / STATE, map_location="cpu", weights_only=True)
    set_torch_threads(config.threads, state["threads"] if state else None)
    if checkpoint is None:
        facts = RewardFacts(config.objective, config.scored_part)
        model, tokenizer = new_reward_model(
            config.model, facts, config.seed, config.device, config.dtype
        )
    else:
        model, tokenizer = open_reward_model(checkpoint, config.device, config.dtype)
    optimizer = make_optimizer(model, config.optimizer)
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
    examples = load_examples(config, tokenizer, model.facts)
    return RewardSession(
        config=config,
        model=model,
        tokenizer=tokenizer,
        optimizer=optimizer,
        examples=examples,
        steps=config.epochs * -(-len(examples.train) // config.batch_size),
        first_step=checkpoint_step(checkpoint) if checkpoint else 0,
        seconds_before=state["seconds"] if state else 0.0,
    )


def update(
    model: RewardModel,
    optimizer: Optimizer,
    batch: Sequence[Example],
    rate: float,
    config: RewardModelConfig,
) -> dict[str, float]:
    """One optimizer update on the mean loss of ``batch``, however it is cut into passes.

    Raises GuardError where the loss or a gradient is not finite; the weights are untouched.
    """
    optimizer.zero_grad()
    total, num_right, num_tokens = 0.0, 0.0, 0
    for part in passes(batch, config.microbatch_tokens):
        scores = score(model, part, config.recompute)
        losses, right = judge(scores, part, model.facts)
        loss = losses.sum() / len(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
        num_right += float(right.sum())
        num_tokens += sum(example.num_tokens for example in part)
    norm = optimizer.clip_gradients()
    if not math.isfinite(total) or not math.isfinite(norm):
        fix = "the weights are untouched; lower optimizer.learning_rate"
        raise GuardError(f"the reward model's loss is {total}, its gradient norm {norm}: {fix}")
    optimizer.step(rate)
    return {
        "loss/total": total,
        "preference/accuracy": num_right / len(batch),
        "preference/examples": len(batch),
        "preference/tokens": num_tokens,
        "policy/grad_norm": norm,
        "policy/learning_rate": rate,
    }
