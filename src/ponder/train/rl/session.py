"""Everything a run needs, built from its config: at its start, or at a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ponder.config.rl import RLConfig
from ponder.evals.result import EvalResult
from ponder.generate.local import LocalGenerator
from ponder.plan import Plan
from ponder.plan.here import plan_run
from ponder.problems.mixed import MixedTrain
from ponder.problems.quotas import QuotaStream
from ponder.problems.split import build_problems
from ponder.problems.stream import ProblemStream
from ponder.rollout.prompts import PromptMaker
from ponder.rollout.rollout import Scorer, rollout
from ponder.rollout.scorer import RuleScorer
from ponder.seeds import derive_seed
from ponder.train.heldout import evaluate_heldout, heldout_problems
from ponder.train.rl.collect import Collected, Stream, collect
from ponder.train.rl.judge import open_judge
from ponder.train.rl.parting import window_of
from ponder.train.rl.policy import Policy
from ponder.train.rl.preferences import check_same, digests, open_preferences, reward_model_paths
from ponder.train.sizes import resolve_sizes
from ponder.train.state import TrainerState
from ponder.train.threads import set_torch_threads
from ponder.train.trainable import open_trainable, save_trainable
from ponder.types import Group, Problem, ProblemSource
from ponder.verify.verifier_pool import VerifierPool

ROUNDED_AWAY = 1e-4
"""Learning rates below this change hardly any bfloat16 weight: most are of the order of 0.02, where
neighbours are 1e-4 apart (measured on base-tiny: 1 % of the weights at 1e-6, 43 % at 7e-5)."""

LOOK_AHEAD = 16
"""Training problems whose verifiers are made ready before the first rollout."""


@dataclass(slots=True)
class Session:
    """The parts of a run that live in memory; ``open_session`` makes one."""

    config: RLConfig
    tokenizer: Any
    policy: Policy
    generator: LocalGenerator
    stream: Stream
    heldout: list[Problem]
    verifiers: VerifierPool
    scorer: Scorer
    make_prompt: PromptMaker
    first_step: int
    seconds_before: float
    notes: tuple[str, ...] = ()
    reward_models: dict[str, str] = field(default_factory=dict)

    def collect(self, step: int) -> Collected:
        """The rollouts of a step, all of them and those to train on."""
        return collect(self.stream, self._sample, self.config, step)

    def evaluate(self) -> EvalResult:
        """The policy on the held-out problems: every time with the same problems and seed."""
        return evaluate_heldout(
            self.generator,
            self.heldout,
            self.scorer,
            self.make_prompt,
            self.config.eval,
            self.config.sampling.max_completion_tokens,
            self.config.seed,
        )

    def save(self, folder: Path, next_step: int, seconds: float) -> None:
        """Fill a checkpoint: a Hugging Face folder, and the trainer's state beside it."""
        config = self.config
        save_trainable(self.policy.model, self.tokenizer, folder, config.lora, config.model)
        state = TrainerState(
            next_step=next_step,
            num_updates=self.policy.num_updates,
            num_threads=torch.get_num_threads(),
            stream=self.stream.state(),
            seconds=seconds,
            tensors=self.policy.state(),
            reward_models=self.reward_models,
        )
        state.write(folder)

    def _sample(self, problems: Sequence[Problem], seed: int) -> list[Group]:
        return rollout(
            problems,
            self.generator,
            self.scorer,
            self.make_prompt,
            self.config.batch.group_size,
            self.config.sampling.to_sampling(),
            seed,
        )


def open_session(config: RLConfig, checkpoint: Path | None, folder: Path | None = None) -> Session:
    """Load the model (of the checkpoint, if there is one), the problems and the trainer's state.

    Sets torch's number of threads; a resumed run takes the one it began with, unless the config
    names one. A run that cannot fit its GPU is refused before the model is loaded (``plan``).
    ``folder``: the run's, for what a judge said; None keeps it only where the config says.
    """
    paths, judge = reward_model_paths(config), open_judge(config, folder)
    reward_models = digests(paths)
    state = TrainerState.read(checkpoint) if checkpoint else None
    if state is not None:
        check_same(paths, reward_models, state.reward_models)
    set_torch_threads(config.threads, state.num_threads if state else None)
    plan = plan_run(config, str(checkpoint) if checkpoint else config.model)
    config = resolve_sizes(config, plan)
    model, tokenizer = open_trainable(config, checkpoint)
    verifiers = VerifierPool(models={**open_preferences(config, paths, tokenizer), **judge})
    notes = [*_rounding_note(config), *short_note(config, paths), *_plan_note(plan)]
    policy = Policy(model, config)
    return new_session(policy, tokenizer, verifiers, state, reward_models, notes)


def new_session(
    policy: Policy,
    tokenizer: Any,
    verifiers: VerifierPool,
    state: TrainerState | None,
    reward_models: dict[str, str],
    notes: Sequence[str],
) -> Session:
    """The session of a policy and its config: problems, generator, and the state of a checkpoint.

    ``notes`` follow what is worth showing about the problems.
    """
    config = policy.config
    problems = build_problems(config.problems, config.seed)
    stream = open_stream(problems.train, config)
    if state is not None:
        policy.restore(state.tensors, state.num_updates)
        stream.restore(state.stream)
    heldout = heldout_problems(config.eval, problems.heldout)
    warnings = verifiers.prepare([*first_problems(problems.train), *heldout], config.unsafe)
    sampling = config.sampling
    return Session(
        config=config,
        tokenizer=tokenizer,
        policy=policy,
        generator=LocalGenerator(
            policy.model, tokenizer, sampling.max_batch_size, engine=config.engine
        ),
        stream=stream,
        heldout=heldout,
        verifiers=verifiers,
        scorer=RuleScorer(config.reward, sampling.max_completion_tokens, verifiers),
        make_prompt=PromptMaker(config.template, tokenizer),
        first_step=state.next_step if state else 0,
        seconds_before=state.seconds if state else 0.0,
        notes=(*warnings, *problems.notes(), *notes),
        reward_models=reward_models,
    )


def open_stream(train: ProblemSource, config: RLConfig) -> Stream:
    """The order of training; of a mixture by quotas, general problems from their step on."""
    if not isinstance(train, MixedTrain):
        return ProblemStream(train, derive_seed(config.seed, "stream"))
    before = config.preference.first_step(config.steps) * config.batch.prompts_per_step
    return QuotaStream(train, [before if general else 0 for general in train.general])


def first_problems(train: ProblemSource) -> list[Problem]:
    """Some training problems, of every source of a mixture."""
    sources = train.parts if isinstance(train, MixedTrain) else [train]
    each = -(-LOOK_AHEAD // len(sources))
    return [source[i] for source in sources for i in range(min(each, len(source)))]


def _plan_note(plan: Plan | None) -> list[str]:
    return [plan.summary()] if plan else []


def _rounding_note(config: RLConfig) -> list[str]:
    """An AdamW update is of the order of the learning rate: too small for a bfloat16 weight?"""
    rate = config.optimizer.learning_rate
    if config.dtype != "bfloat16" or config.optimizer.master_weights or rate >= ROUNDED_AWAY:
        return []
    return [
        f"dtype = bfloat16 without master weights: most updates at a learning rate of {rate:g} "
        "are lost in rounding, and little is learnt; use optimizer.master_weights=true "
        f"(or a rate of {ROUNDED_AWAY:g} or more)"
    ]


def short_note(config: RLConfig, reward_models: Mapping[str, Path]) -> list[str]:
    """The alarm for a hacked reward compares two windows of steps: are there so many?"""
    num_steps = config.steps - config.preference.first_step(config.steps)
    needed = 2 * window_of(num_steps)
    if not reward_models or num_steps >= needed:
        return []
    return [
        f"{num_steps} {'step' if num_steps == 1 else 'steps'} with general problems: too few for "
        f"the alarm that a preference reward is being hacked, which compares {needed} of them"
    ]
