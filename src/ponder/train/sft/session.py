"""Everything a run of fine-tuning needs, built from its config: at its start, or a checkpoint."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ponder.config.rl import RewardConfig
from ponder.config.sft import SFTConfig
from ponder.errors import PonderError
from ponder.evals.result import EvalResult
from ponder.generate.local import LocalGenerator, context_tokens
from ponder.problems.split import build_problems
from ponder.rollout.prompts import PromptMaker
from ponder.rollout.scorer import RuleScorer
from ponder.train.heldout import evaluate_heldout, heldout_problems
from ponder.train.sft.data import Data, read_data
from ponder.train.sft.learner import Learner
from ponder.train.sft.packing import BatchPlan
from ponder.train.sft.rows import read_rows
from ponder.train.state import TrainerState
from ponder.train.threads import set_torch_threads
from ponder.train.trainable import open_trainable, save_trainable
from ponder.types import Problem
from ponder.verify.verifier_pool import VerifierPool


@dataclass(frozen=True, slots=True)
class Pass1:
    """What measures pass@1: every time with the same problems and seed."""

    config: SFTConfig
    generator: LocalGenerator
    problems: list[Problem]
    scorer: RuleScorer
    make_prompt: PromptMaker

    def measure(self) -> EvalResult:
        """The model as it is now."""
        settings = self.config.eval
        return evaluate_heldout(
            self.generator,
            self.problems,
            self.scorer,
            self.make_prompt,
            settings,
            settings.max_completion_tokens,
            self.config.seed,
        )


@dataclass(slots=True)
class SFTSession:
    """The parts of a run that live in memory; ``open_session`` makes one."""

    config: SFTConfig
    tokenizer: Any
    learner: Learner
    data: Data
    plan: BatchPlan
    steps: int
    pass1: Pass1 | None
    first_step: int
    seconds_before: float
    fingerprint: str
    """Of the samples that are trained on."""

    def update(self, step: int) -> dict[str, float]:
        """The update of a step; its metrics."""
        batch = [self.data.train[index] for index in self.plan.indices(step)]
        return self.learner.update(batch) | {"sft/epoch": self.plan.epoch(step)}

    def heldout_loss(self) -> float | None:
        """Nats per completion token of the held-out samples; None where there are none."""
        heldout = self.data.heldout
        if heldout is None:
            return None
        return self.learner.mean_loss([heldout[i] for i in range(len(heldout))])

    def save(self, folder: Path, next_step: int, seconds: float) -> None:
        """Fill a checkpoint: a Hugging Face folder, and the trainer's state beside it."""
        config = self.config
        save_trainable(self.learner.model, self.tokenizer, folder, config.lora, config.model)
        state = TrainerState(
            next_step=next_step,
            num_updates=self.learner.num_updates,
            num_threads=torch.get_num_threads(),
            stream={"data": self.fingerprint},
            seconds=seconds,
            tensors=self.learner.state(),
        )
        state.write(folder)


def open_session(
    config: SFTConfig, checkpoint: Path | None, folder: Path, resources: ExitStack
) -> SFTSession:
    """Read the data, load the model (of the checkpoint, if there is one) and its state.

    Sets torch's number of threads; a resumed run takes the one it began with, unless the config
    names one. The samples lie in ``folder``. ``resources`` closes what must be closed.

    Raises:
        PonderError: no data or bad data, a model that cannot be trained, or data that changed since
            the checkpoint was written.
    """
    if config.data.path is None:
        fix = 'name the rows to learn, a .jsonl of {"prompt": ..., "completion": ...}'
        raise PonderError("data.path", None, fix)
    next(read_rows(config.data.path, "data.path"), None)  # a model may take minutes to load
    state = TrainerState.read(checkpoint) if checkpoint else None
    set_torch_threads(config.threads, state.num_threads if state else None)
    model, tokenizer = open_trainable(config, checkpoint)
    limit = min(config.data.max_tokens, context_tokens(model))
    data = read_data(config, tokenizer, limit, folder)
    plan = BatchPlan(data.train.lengths, config.batch, config.epochs, config.seed)
    steps = min(plan.num_updates, config.max_steps or plan.num_updates)
    learner = Learner(model, config, steps)
    fingerprint = data.train.fingerprint()
    if state is not None:
        _check_same_data(config, state, fingerprint)
        learner.restore(state.tensors, state.num_updates)
    return SFTSession(
        config=config,
        tokenizer=tokenizer,
        learner=learner,
        data=data,
        plan=plan,
        steps=steps,
        pass1=_open_pass1(config, model, tokenizer, resources),
        first_step=state.next_step if state else 0,
        seconds_before=state.seconds if state else 0.0,
        fingerprint=fingerprint,
    )


def _check_same_data(config: SFTConfig, state: TrainerState, fingerprint: str) -> None:
    if state.stream.get("data") != fingerprint:
        fix = "its samples are not those that the run began with: restore it, or start a new run"
        raise PonderError("data.path", str(config.data.path), fix)


def _open_pass1(
    config: SFTConfig, model: PreTrainedModel, tokenizer: Any, resources: ExitStack
) -> Pass1 | None:
    settings = config.eval
    if not settings.num_problems:
        return None
    source = build_problems(config.problems, config.seed).heldout
    problems = heldout_problems(settings, source)
    verifiers = resources.enter_context(VerifierPool())
    verifiers.prepare(problems, config.unsafe)
    return Pass1(
        config=config,
        generator=LocalGenerator(model, tokenizer, settings.max_batch_size, engine=config.engine),
        problems=problems,
        scorer=RuleScorer(RewardConfig(), settings.max_completion_tokens, verifiers),
        make_prompt=PromptMaker(config.template, tokenizer),
    )
