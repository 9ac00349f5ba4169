"""Everything that training a reward model needs, from its config: at its start, or a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from ponder.config.reward_model import RewardModelConfig
from ponder.models.reward import RewardFacts, RewardModel, new_reward_model, open_reward_model
from ponder.runlog.checkpoint import checkpoint_step
from ponder.train.optimizer import Optimizer, apply_gradients, make_optimizer
from ponder.train.reward.data import Example, Examples, batch_of, load_examples, passes
from ponder.train.reward.scores import compare, score
from ponder.train.threads import set_torch_threads

STATE = "trainer_state.pt"


@dataclass(slots=True)
class RewardSession:
    """The parts of a run that live in memory; ``open_session`` makes one."""

    config: RewardModelConfig
    model: RewardModel
    tokenizer: PreTrainedTokenizerBase
    optimizer: Optimizer
    examples: Examples
    steps: int
    first_step: int
    seconds_before: float

    @property
    def counts(self) -> dict[str, int]:
        """Of the data, for the summary."""
        return {
            "examples": len(self.examples.train),
            "heldout_examples": len(self.examples.heldout),
            "too_long": self.examples.num_too_long,
        }

    def update(self, step: int) -> dict[str, float]:
        """The update of a step; its metrics."""
        config, train = self.config, self.examples.train
        places = batch_of(step, len(train), config.batch_size, config.seed)
        batch = [train[i] for i in places]
        return update(self.model, self.optimizer, batch, config, step, self.steps)

    def save(self, folder: Path, next_step: int, seconds: float) -> None:
        """Fill a checkpoint: the model's folder, and the optimizer's state beside it."""
        self.model.save(folder, self.tokenizer)
        state = {
            "optimizer": self.optimizer.state_dict(),
            "threads": torch.get_num_threads(),
            "seconds": seconds,
        }
        torch.save(state, folder / STATE)


def open_session(config: RewardModelConfig, checkpoint: Path | None) -> RewardSession:
    """Model, tokenizer, optimizer and data, at a checkpoint or the start.

    Sets torch's number of threads; a resumed run takes the one it began with, unless the config
    names one. Raises PonderError: see ``load_examples`` and ``new_reward_model``.
    """
    state = None
    if checkpoint is not None:
        state = torch.load(checkpoint / STATE, map_location="cpu", weights_only=True)
    set_torch_threads(config.threads, state["threads"] if state else None)
    model, tokenizer = _open_model(config, checkpoint)
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
    config: RewardModelConfig,
    step: int,
    steps: int,
) -> dict[str, float]:
    """Update ``step`` of ``steps``: on the mean loss of ``batch``, however it is cut into passes.

    Returns its metrics. Raises GuardError where the loss or a gradient is not finite; the weights
    are untouched.
    """
    total, num_right, num_tokens = 0.0, 0.0, 0
    for part in passes(batch, config.microbatch_tokens):
        losses, right = compare(score(model, part, config.recompute), part, model.facts)
        loss = losses.sum() / len(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
        num_right += float(right.sum())
        num_tokens += sum(example.num_tokens for example in part)
    return {
        "loss/total": total,
        "preference/accuracy": num_right / len(batch),
        "preference/examples": len(batch),
        "preference/tokens": num_tokens,
        **apply_gradients(optimizer, config.optimizer, total, step, steps),
    }


def _open_model(
    config: RewardModelConfig, checkpoint: Path | None
) -> tuple[RewardModel, PreTrainedTokenizerBase]:
    if checkpoint is not None:
        return open_reward_model(checkpoint, config.device, config.dtype)
    facts = RewardFacts(config.objective, config.scored_part)
    return new_reward_model(config.model, facts, config.seed, config.device, config.dtype)
