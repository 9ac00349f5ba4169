"""Log-probabilities of a microbatch's completions under a model, in the shape the losses take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from ponder.models.packed import completion_logprobs
from ponder.models.packed_layout import PackedLayout
from ponder.train.rl.batch import PromptRows, Row


@dataclass(frozen=True, slots=True)
class Scored:
    """Of B completions padded to T tokens: nats per token, and which positions are real.

    ``logprobs`` [B, T] carry the gradient, ``entropy`` [B, T] does not; both are float32 and 0
    outside ``loss_mask`` [B, T] (bool). Row b is the b-th row of the groups, in order.
    """

    rows: list[Row]
    logprobs: Tensor
    entropy: Tensor
    loss_mask: Tensor

    def per_row(self) -> list[Tensor]:
        """The detached log-probabilities of each row, without padding."""
        detached = self.logprobs.detach()
        return [v[: len(row.completion_ids)] for row, v in zip(self.rows, detached, strict=True)]


def score(
    model: PreTrainedModel,
    groups: Sequence[PromptRows],
    temperature: float,
    chunk_tokens: int,
    recompute: bool = False,
) -> Scored:
    """One forward pass over ``groups``, each prompt once and no padding; see ``Scored`` and, for
    ``recompute``, ``packed_hidden``."""
    layout = layout_of(groups, model.device)
    logprobs, entropy = completion_logprobs(model, layout, temperature, chunk_tokens, recompute)
    rows = [row for group in groups for row in group.rows]
    return Scored(rows, layout.pad(logprobs), layout.pad(entropy), layout.loss_mask())


def layout_of(groups: Sequence[PromptRows], device: torch.device) -> PackedLayout:
    """``groups`` in one flat row: each prompt once, then its completions."""
    return PackedLayout.build(
        prompts=[group.prompt_ids for group in groups],
        completions=[row.completion_ids for group in groups for row in group.rows],
        prompt_index=[i for i, group in enumerate(groups) for _ in group.rows],
        device=device,
    )


def pad(values: Sequence[Tensor] | Sequence[list[float]], like: Tensor) -> Tensor:
    """[B, T] in the shape, type and place of ``like``, from one row of numbers per completion."""
    rows = [torch.as_tensor(numbers, dtype=like.dtype) for numbers in values]
    return pad_sequence(rows, batch_first=True).to(like.device)
