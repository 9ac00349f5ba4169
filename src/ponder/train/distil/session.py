"""Everything a run of on-policy distillation needs: a session of RL with another policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ponder.config.distil import DistilConfig, rl_config
from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.runlog import RunFolder, read_json, write_json_atomic
from ponder.train import guards
from ponder.train.distil.student import Student
from ponder.train.distil.teacher import open_teacher
from ponder.train.rl.batch import Batch, Minibatch, PromptRows, Row, check_one_problem, deal
from ponder.train.rl.session import Session, new_session
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
    student = Student(model, teacher, rl, config.on_policy)
    note = f"teacher: {config.teacher}"
    return new_session(student, tokenizer, VerifierPool(), state, {}, [note])


def make_batch(groups: Sequence[Group], config: RLConfig, step: int) -> Batch:
    """Every completion of the groups, shuffled by (seed, step) into minibatches.

    The denominator is the minibatch's completion tokens. Raises GuardError where a group holds
    rollouts of another problem.
    """
    for group in groups:
        check_one_problem(group)
    return Batch(tuple(_minibatch(part) for part in deal(groups, config, step)))


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
