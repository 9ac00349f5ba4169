"""Log-probabilities of a microbatch's completions under a model, in the shape the losses take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ponder.algo import chunked_logprobs
from ponder.train.batch import PromptRows, Row


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
    model: nn.Module, groups: Sequence[PromptRows], temperature: float, chunk_tokens: int
) -> Scored:
    """One forward pass over ``groups``, each prompt once; see ``Scored``."""
    rows = [row for group in groups for row in group.rows]
    device = next(model.parameters()).device
    lengths = torch.tensor([len(row.completion_ids) for row in rows], device=device)
    sequences = [[*g.prompt_ids, *r.completion_ids] for g in groups for r in g.rows]
    starts = [len(g.prompt_ids) for g in groups for _ in g.rows]
    width = max(len(s) for s in sequences)
    ids = torch.tensor([s + [0] * (width - len(s)) for s in sequences])
    mask = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in sequences])
    hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
    picked = torch.cat(
        [hidden[i, b - 1 : len(s) - 1] for i, (b, s) in enumerate(zip(starts, sequences))]
    )
    targets = torch.tensor([t for r in rows for t in r.completion_ids], device=device)
    head = model.lm_head
    logprobs, entropy = chunked_logprobs(
        picked, head.weight, head.bias, targets, temperature, chunk_tokens
    )
    loss_mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
    empty = logprobs.new_zeros(loss_mask.shape)
    return Scored(
        rows,
        empty.masked_scatter(loss_mask, logprobs),
        empty.masked_scatter(loss_mask, entropy),
        loss_mask,
    )


def pad(values: Sequence[Tensor] | Sequence[list[float]], like: Tensor) -> Tensor:
    """[B, T] in the shape, type and place of ``like``, from one row of numbers per completion."""
    rows = [torch.as_tensor(numbers, dtype=like.dtype) for numbers in values]
    return pad_sequence(rows, batch_first=True).to(like.device)
