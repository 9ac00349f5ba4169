"""Everything a run of on-policy distillation needs: a session of RL with another policy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from ponder.config.distil import DistilConfig
from ponder.config.rl import AlgorithmConfig, BatchConfig, RewardConfig, RLConfig
from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator
from ponder.problems.split import build_problems
from ponder.rollout.prompts import PromptMaker
from ponder.rollout.scorer import RuleScorer
from ponder.runlog import RunFolder, read_json, write_json_atomic
from ponder.seeds import derive_seed
from ponder.train import guards
from ponder.train.batch import Batch, Minibatch, PromptRows, Row, check_one_problem
from ponder.train.distil.student import Student
from ponder.train.distil.teacher import open_teacher
from ponder.train.heldout import heldout_problems
from ponder.train.session import Session, first_problems, open_stream
from ponder.train.sizes import resolve_sizes
from ponder.train.state import TrainerState
from ponder.train.threads import set_torch_threads
from ponder.train.trainable import open_trainable
from ponder.types import Group
from ponder.verify.verifier_pool import VerifierPool


def open_session(config: DistilConfig, run: RunFolder, checkpoint: Path | None) -> Session:
    """Load both models, the problems and (of a checkpoint) the student's state.

    Raises:
        PonderError: a model that cannot be trained or scored, two tokenizers, or a teacher whose
            weights are not those that the run began with.
    """
    state = TrainerState.read(checkpoint) if checkpoint else None
    set_torch_threads(config.threads, state.num_threads if state else None)
    rl = resolve_sizes(rl_config(config))
    model, tokenizer = open_trainable(config, checkpoint)
    teacher = open_teacher(config, model, tokenizer)
    _check_same_teacher(config, run, guards.weight_checksum(teacher), state is not None)
    problems = build_problems(config.problems, config.seed)
    stream = open_stream(problems.train, rl)
    student = Student(model, teacher, rl, config.on_policy)
    if state is not None:
        student.restore(state.tensors, state.num_updates)
        stream.restore(state.stream)
    heldout = heldout_problems(config.eval, problems.heldout)
    verifiers = VerifierPool()
    warnings = verifiers.prepare([*first_problems(problems.train), *heldout], config.unsafe)
    return Session(
        config=rl,
        tokenizer=tokenizer,
        policy=student,
        generator=LocalGenerator(
            model, tokenizer, config.sampling.max_batch_size, engine=config.engine
        ),
        stream=stream,
        heldout=heldout,
        verifiers=verifiers,
        scorer=RuleScorer(rl.reward, config.sampling.max_completion_tokens, verifiers),
        make_prompt=PromptMaker(config.template, tokenizer),
        first_step=state.next_step if state else 0,
        seconds_before=state.seconds if state else 0.0,
        notes=(f"teacher: {config.teacher}", *warnings, *problems.notes()),
    )


def rl_config(config: DistilConfig) -> RLConfig:
    """What the machinery of reinforcement learning is told: no rewards enter the loss."""
    policy, sizes = config.on_policy, config.batch
    batch = BatchConfig(
        prompts_per_step=policy.prompts_per_step,
        minibatches=policy.minibatches,
        **sizes.model_dump(),
    )
    return RLConfig(
        name=config.name,
        model=config.model,
        seed=config.seed,
        steps=policy.steps,
        device=config.device,
        dtype=config.dtype,
        threads=config.threads,
        unsafe=config.unsafe,
        problems=config.problems,
        template=config.template,
        sampling=config.sampling,
        reward=RewardConfig(),
        algorithm=AlgorithmConfig(),
        batch=batch.model_copy(update={"group_size": policy.group_size}),  # one is enough here
        optimizer=config.optimizer,
        lora=config.lora,
        engine=config.engine,
        eval=config.eval,
        checkpoint=config.checkpoint,
    )


def make_batch(groups: Sequence[Group], config: RLConfig, step: int) -> Batch:
    """Every completion of the groups, shuffled by (seed, step) into minibatches.

    The denominator is the minibatch's completion tokens. Raises GuardError where a group holds
    rollouts of another problem.
    """
    for group in groups:
        check_one_problem(group)
    shuffled = list(groups)
    random.Random(derive_seed(config.seed, "minibatches", step)).shuffle(shuffled)
    num = config.batch.minibatches
    bounds = [len(shuffled) * i // num for i in range(num + 1)]
    return Batch(tuple(_minibatch(shuffled[start:end]) for start, end in pairwise(bounds)))


def _minibatch(groups: Sequence[Group]) -> Minibatch:
    parts = tuple(PromptRows(group.prompt.token_ids, _rows(group)) for group in groups)
    return Minibatch(parts, float(sum(len(r.completion_ids) for p in parts for r in p.rows)))


def _rows(group: Group) -> tuple[Row, ...]:
    completions = [rollout.completion for rollout in group.rollouts]
    return tuple(Row(one.token_ids, one.sampler_logprobs, 0.0) for one in completions)


def _check_same_teacher(
    config: DistilConfig, run: RunFolder, checksum: int, is_resumed: bool
) -> None:
    """A resumed run must go on with the weights that it began with."""
    path = run.path / "teacher.json"
    if is_resumed and path.exists() and read_json(path)["checksum"] != f"{checksum:x}":
        fix = "its weights are not those that the run began with: restore it, or start a new run"
        raise PonderError("teacher", config.teacher, fix)
    write_json_atomic(path, {"teacher": config.teacher, "checksum": f"{checksum:x}"})
