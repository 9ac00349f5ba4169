"""Groups become minibatches: what enters the loss, with which advantage, over what denominator."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ponder.algo import group_advantages, loss_denominator
from ponder.config.rl import AlgorithmConfig, RLConfig
from ponder.errors import GuardError
from ponder.rollout.stats import valid_rollouts
from ponder.seeds import derive_seed
from ponder.types import Group, Rollout


@dataclass(slots=True)
class Row:
    """One completion in the loss. ``old_logprobs`` [T] is None where this update's own serve."""

    completion_ids: list[int]
    sampler_logprobs: list[float]
    advantage: float
    old_logprobs: Tensor | None = None


@dataclass(frozen=True, slots=True)
class PromptRows:
    """Completions that share a prompt: those of one group, or some of them."""

    prompt_ids: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens that a forward pass sees: the prompt once, and the completions."""
        return len(self.prompt_ids) + sum(len(row.completion_ids) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Minibatch:
    """What one optimizer update looks at.

    ``denominator`` is of *all* rows in the loss, those with an advantage of 0 included: it does
    not depend on how the minibatch is split or on which rows are worth a forward pass.
    """

    groups: tuple[PromptRows, ...]
    denominator: float

    @property
    def rows(self) -> list[Row]:
        return [row for group in self.groups for row in group.rows]


@dataclass(frozen=True, slots=True)
class Batch:
    """The minibatches of one step, in the order of the updates."""

    minibatches: tuple[Minibatch, ...]

    @property
    def rows(self) -> list[Row]:
        return [row for minibatch in self.minibatches for row in minibatch.rows]


def make_batch(groups: Sequence[Group], config: RLConfig, step: int) -> Batch:
    """Fill in the advantages and split the groups, shuffled by (seed, step), into minibatches.

    Rollouts whose verdict is ``error`` leave their group: its mean and deviation are those of the
    others. With ``mask_truncated``, completions cut at the limit stay in their group's mean and
    leave the loss. Groups are never split between minibatches.
    Raises GuardError where a group holds rollouts of another problem, or text without tokens.
    """
    for group in groups:
        check_one_problem(group)
        check_tokens(group)
    fill_advantages(groups, config.algorithm)
    return Batch(tuple(_minibatch(part, config) for part in deal(groups, config, step)))


def deal(groups: Sequence[Group], config: RLConfig, step: int) -> list[list[Group]]:
    """The groups of each minibatch: all of them, shuffled by (seed, step), in equal parts."""
    shuffled = list(groups)
    random.Random(derive_seed(config.seed, "minibatches", step)).shuffle(shuffled)
    num = config.batch.minibatches
    bounds = [len(shuffled) * i // num for i in range(num + 1)]
    return [shuffled[start:end] for start, end in itertools.pairwise(bounds)]


def check_one_problem(group: Group) -> None:
    """One problem per group: advantages compare completions of the same prompt or mean nothing."""
    ids = {group.prompt.problem_id, *(r.completion.problem_id for r in group.rollouts)}
    if ids != {group.problem.id}:
        raise GuardError(
            f"the group of problem {group.problem.id!r} holds rollouts of {sorted(ids)}: the "
            "generator returned completions in another order than its prompts"
        )


def check_tokens(group: Group) -> None:
    """Only what the policy's own tokenizer wrote has a place in a policy gradient: of an endpoint's
    text there are neither tokens nor log-probabilities, and its count of tokens is not ours."""
    for completion in (rollout.completion for rollout in group.rollouts):
        counted = completion.counted_tokens is not None
        if counted or len(completion.sampler_logprobs) != len(completion.token_ids):
            raise GuardError(
                f"a completion of problem {group.problem.id!r} has {len(completion.token_ids)} "
                f"tokens and {len(completion.sampler_logprobs)} log-probabilities: it is text of "
                "an endpoint, which can be fine-tuned on, but not reinforced"
            )


def fill_advantages(groups: Sequence[Group], algorithm: AlgorithmConfig) -> None:
    """Set ``advantage`` of every rollout in the loss; None for those that leave it."""
    for group in groups:
        for rollout in group.rollouts:
            rollout.advantage = None
    valid = [(i, r, r.reward) for i, g in enumerate(groups) for r in valid_rollouts(g)]
    if not valid:
        return
    rewards = torch.tensor([reward for _, _, reward in valid], dtype=torch.float64)
    index = torch.tensor([i for i, _, _ in valid])
    values = group_advantages(rewards, index, algorithm.advantage, algorithm.advantage_eps)
    for (_, rollout, _), value in zip(valid, values.tolist(), strict=True):
        if not _leaves_loss(rollout, algorithm):
            rollout.advantage = value


def split_by_tokens(groups: Sequence[PromptRows], max_tokens: int) -> list[list[PromptRows]]:
    """Microbatches of at most ``max_tokens`` tokens, whole completions each.

    A group that doesn't fit is cut between completions (its prompt is then computed once per
    part); one completion that doesn't fit is a microbatch of its own.
    """
    microbatches: list[list[PromptRows]] = []
    room = 0
    for part in (part for group in groups for part in _parts(group, max_tokens)):
        if not microbatches or part.num_tokens > room:
            microbatches.append([])
            room = max_tokens
        microbatches[-1].append(part)
        room -= part.num_tokens
    return microbatches


def _parts(group: PromptRows, max_tokens: int) -> list[PromptRows]:
    parts: list[list[Row]] = [[]]
    room = max_tokens - len(group.prompt_ids)
    for row in group.rows:
        if parts[-1] and len(row.completion_ids) > room:
            parts.append([])
            room = max_tokens - len(group.prompt_ids)
        parts[-1].append(row)
        room -= len(row.completion_ids)
    return [PromptRows(group.prompt_ids, tuple(rows)) for rows in parts]


def _minibatch(groups: Sequence[Group], config: RLConfig) -> Minibatch:
    parts = [PromptRows(group.prompt.token_ids, rows) for group in groups if (rows := _rows(group))]
    lengths = torch.tensor([len(row.completion_ids) for part in parts for row in part.rows])
    denominator = loss_denominator(
        lengths, config.algorithm.normalise, config.sampling.max_completion_tokens
    )
    return Minibatch(tuple(parts), denominator)


def _rows(group: Group) -> tuple[Row, ...]:
    return tuple(
        Row(r.completion.token_ids, r.completion.sampler_logprobs, r.advantage)
        for r in group.rollouts
        if r.advantage is not None
    )


def _leaves_loss(rollout: Rollout, algorithm: AlgorithmConfig) -> bool:
    return algorithm.mask_truncated and rollout.completion.finish_reason == "length"
