"""Training a reward model: a scalar head and its decoder, on pairs or on labels.

Source: R1 (arXiv 2501.12948 v2, 3.1): batch 256, learning rate 6e-6, one epoch, 8,192 tokens; the
helpful model pairwise on final answers, the safety model pointwise on whole completions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ponder.algo.preference import pairwise_loss, pointwise_loss
from ponder.config.reward_model import RewardModelConfig
from ponder.errors import GuardError
from ponder.models.reward import RewardFacts, RewardModel, new_reward_model, open_reward_model
from ponder.runlog import CheckpointStore, MetricsWriter, RunFolder, truncate_after
from ponder.runlog.checkpoint import checkpoint_step
from ponder.train.optimizer import Optimizer, make_optimizer
from ponder.train.reward_data import Example, batch_of, load_examples, passes
from ponder.train.schedule import learning_rate

STATE = "trainer_state.pt"
Report = Callable[[int, dict[str, float]], None]


def train_reward_model(
    config: RewardModelConfig, run: RunFolder, report: Report = lambda step, row: None
) -> Path:
    """Train, and return the last checkpoint, a folder for ``open_reward_model``.

    A run that was stopped goes on from its newest checkpoint and ends with the same weights, bit
    for bit on a CPU. The last checkpoint knows the mean and spread of held-out scores, and its row
    in metrics.jsonl the held-out accuracy. The caller holds the run's lock.

    Raises:
        PonderError: see ``load_examples`` and ``new_reward_model``.
        GuardError: the loss is not finite.
    """
    store = CheckpointStore(run.checkpoints_dir, config.checkpoint.keep)
    model, tokenizer, optimizer, first = open_trainer(config, store)
    examples = load_examples(config, tokenizer, model.facts)
    per_epoch = -(-len(examples.train) // config.batch_size)
    steps = config.epochs * per_epoch
    truncate_after(run.metrics_path, first)
    with MetricsWriter(run.metrics_path) as metrics:

        def write(step: int, row: dict[str, float]) -> None:
            metrics.write(step, row)
            report(step, row)

        if first == 0:
            measured = evaluate(model, examples.heldout, config)
            write(0, measured.row() | {"data/num_too_long": examples.num_too_long})
        for step in range(first, steps):
            places = batch_of(step, len(examples.train), config.batch_size, config.seed)
            rate = learning_rate(config.optimizer, step, steps)
            row = update(model, optimizer, [examples.train[i] for i in places], rate, config)
            if not math.isfinite(row["loss/total"]):
                fix = "lower optimizer.learning_rate"
                raise GuardError(f"the reward model's loss is not finite at step {step}: {fix}")
            if step + 1 == steps:
                measured = evaluate(model, examples.heldout, config)
                model.facts = replace(model.facts, mean=measured.mean, std=measured.std)
                row |= measured.row()
            write(step, row)
            if (step + 1) % config.checkpoint.every == 0 or step + 1 == steps:
                store.save(step + 1, lambda path: save(path, model, tokenizer, optimizer))
    final = store.latest()
    assert final is not None
    return final


def open_trainer(
    config: RewardModelConfig, store: CheckpointStore
) -> tuple[RewardModel, PreTrainedTokenizerBase, Optimizer, int]:
    """Model, tokenizer and optimizer at the newest checkpoint or the start, and the next step."""
    latest = store.latest()
    if latest is None:
        facts = RewardFacts(config.objective, config.scored_part)
        model, tokenizer = new_reward_model(
            config.model, facts, config.seed, config.device, config.dtype
        )
        return model, tokenizer, make_optimizer(model, config.optimizer), 0
    store.verify(latest)
    model, tokenizer = open_reward_model(latest, config.device, config.dtype)
    optimizer = make_optimizer(model, config.optimizer)
    state = torch.load(latest / STATE, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(state)
    return model, tokenizer, optimizer, checkpoint_step(latest)


def save(
    path: Path, model: RewardModel, tokenizer: PreTrainedTokenizerBase, optimizer: Optimizer
) -> None:
    """Fill a checkpoint's folder."""
    model.save(path, tokenizer)
    torch.save(optimizer.state_dict(), path / STATE)


def update(
    model: RewardModel,
    optimizer: Optimizer,
    batch: Sequence[Example],
    rate: float,
    config: RewardModelConfig,
) -> dict[str, float]:
    """One optimizer update on the mean loss of ``batch``, however it is cut into passes."""
    optimizer.zero_grad()
    total, num_right = 0.0, 0.0
    for part in passes(batch, config.microbatch_tokens):
        scores = score(model, part, config.recompute)
        losses, right = judge(scores, part, model.facts)
        loss = losses.sum() / len(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
        num_right += float(right.sum())
    norm = optimizer.clip_gradients()
    optimizer.step(rate)
    return {
        "loss/total": total,
        "preference/accuracy": num_right / len(batch),
        "policy/grad_norm": norm,
        "policy/learning_rate": rate,
    }


def score(model: RewardModel, examples: Sequence[Example], recompute: bool = False) -> Tensor:
    """[B, 2] of pairs (chosen, rejected), or [B, 1]: the scores, in one forward pass."""
    per_example = len(examples[0].completions)
    flat = model.scores(
        prompts=[example.prompt_ids for example in examples],
        completions=[ids for example in examples for ids in example.completions],
        prompt_index=[i for i in range(len(examples)) for _ in range(per_example)],
        recompute=recompute,
    )
    return flat.view(len(examples), per_example)


def judge(scores: Tensor, examples: Sequence[Example], facts: RewardFacts) -> tuple[Tensor, Tensor]:
    """(losses [B], 1 where the model is right, 1/2 for a tie, else 0 [B]) from ``score``'s."""
    if facts.objective == "pairwise":
        chosen, rejected = scores[:, 0], scores[:, 1]
        losses, margin = pairwise_loss(chosen, rejected), (chosen - rejected).detach()
    else:
        labels = torch.tensor([float(e.label) for e in examples], device=scores.device)
        losses = pointwise_loss(scores[:, 0], labels)
        margin = scores[:, 0].detach() * (2 * labels - 1)
    return losses, (margin > 0).float() + 0.5 * (margin == 0).float()


@dataclass(frozen=True, slots=True)
class Measured:
    """How a reward model does on held-out examples.

    ``mean`` and ``std`` are of all scores; ``prefers_longer`` is the share of pairs of different
    lengths whose longer completion gets the higher score, and ``chosen_longer`` the share whose
    longer completion was chosen (nan without such pairs): the first far above the second is a model
    that learnt length.
    """

    accuracy: float
    num_examples: int
    loss: float
    mean: float
    std: float
    prefers_longer: float
    chosen_longer: float

    def row(self) -> dict[str, float]:
        """For metrics.jsonl."""
        p, n = self.accuracy, self.num_examples
        row = {
            "eval/accuracy": p,
            "eval/stderr": math.sqrt(p * (1 - p) / n),
            "eval/loss": self.loss,
            "eval/score_mean": self.mean,
            "eval/score_std": self.std,
        }
        if not math.isnan(self.chosen_longer):
            row["eval/prefers_longer"] = self.prefers_longer
            row["eval/chosen_longer"] = self.chosen_longer
        return row


@torch.no_grad()
def evaluate(
    model: RewardModel, examples: Sequence[Example], config: RewardModelConfig
) -> Measured:
    """Accuracy, loss, and the scale of the scores."""
    all_scores, losses, right, longer = [], 0.0, 0.0, []
    for part in passes(examples, config.microbatch_tokens):
        scores = score(model, part)
        of_part, right_of_part = judge(scores, part, model.facts)
        losses += float(of_part.sum())
        right += float(right_of_part.sum())
        all_scores.append(scores.flatten().double().cpu())
        longer += _longer(part, scores)
    flat = torch.cat(all_scores)
    num = len(examples)
    return Measured(
        accuracy=right / num,
        num_examples=num,
        loss=losses / num,
        mean=float(flat.mean()),
        std=max(float(flat.std(correction=0)), 1e-6),
        prefers_longer=_share([scored for scored, _ in longer]),
        chosen_longer=_share([chosen for _, chosen in longer]),
    )


def _longer(examples: Sequence[Example], scores: Tensor) -> list[tuple[bool, bool]]:
    """For pairs of different lengths: whether the longer scores more, and whether it was chosen."""
    found = []
    for example, row in zip(examples, scores.tolist(), strict=True):
        lengths = [len(ids) for ids in example.completions]
        if len(lengths) == 2 and lengths[0] != lengths[1]:
            chosen_is_longer = lengths[0] > lengths[1]
            found.append(((row[0] > row[1]) == chosen_is_longer, chosen_is_longer))
    return found


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else math.nan
