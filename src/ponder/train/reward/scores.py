"""Scores of examples under a reward model: losses, who is right, and how it does on held-out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ponder.algo.preference import pairwise_loss, pointwise_loss
from ponder.config.reward_model import RewardModelConfig
from ponder.models.reward import RewardFacts, RewardModel
from ponder.train.reward.data import Example, passes


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


def compare(
    scores: Tensor, examples: Sequence[Example], facts: RewardFacts
) -> tuple[Tensor, Tensor]:
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

    @property
    def stderr(self) -> float:
        """Of the accuracy."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.num_examples)

    def row(self) -> dict[str, float]:
        """For metrics.jsonl."""
        row = {
            "eval/accuracy": self.accuracy,
            "eval/stderr": self.stderr,
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
        of_part, right_of_part = compare(scores, part, model.facts)
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
