"""The model being trained: one optimizer update per minibatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ponder.algo import LOSSES, aggregate, importance_weights, k3
from ponder.config.rl import RLConfig
from ponder.models.compiled import compile_layers
from ponder.train import guards
from ponder.train.optimizer import apply_gradients, make_optimizer
from ponder.train.rl.batch import Batch, Minibatch, PromptRows, Row, split_by_tokens
from ponder.train.rl.forward import Scored, pad, score
from ponder.train.rl.measure import MicrobatchStats, token_sum
from ponder.train.rl.reference import make_reference
from ponder.train.sizes import resolve_sizes


class Policy:
    """The policy, its optimizer and, where there is a KL term, its reference.

    The model stays in eval mode (dropout would make the policy ratio noise). ``num_updates`` counts
    the updates since the start of the run and decides the learning rate.
    """

    def __init__(self, model: PreTrainedModel, config: RLConfig) -> None:
        self.model = model.eval()
        self.config = config = resolve_sizes(config)
        self.optimizer = make_optimizer(model, config.optimizer)
        self.reference = make_reference(model, config)
        if config.batch.compile and model.device.type == "cuda":
            compile_layers(model)
        self.num_updates = 0
        self._probe: PromptRows | None = None
        self._split_checked = False

    def score(self, batch: Batch) -> None:
        """Note the log-probabilities at rollout time of the rows of all minibatches but the first.

        The first one's own forward pass serves: the ratio is exactly 1, which rounding would make
        it miss, and its gradient is that of the surrogate. One group of it is scored all the same,
        for ``update`` to see that nothing came between.
        """
        self._probe = None
        if len(batch.minibatches) == 1:
            return
        first, *rest = (self._relevant(minibatch) for minibatch in batch.minibatches)
        self._probe = first[0] if first else None
        groups = [*first[:1], *(group for minibatch in rest for group in minibatch)]
        for microbatch in split_by_tokens(groups, self.config.batch.microbatch_tokens):
            for row, logprobs in self._logprobs(microbatch):
                row.old_logprobs = logprobs

    def update(self, minibatch: Minibatch) -> dict[str, float]:
        """One optimizer update; returns its ``loss/`` and ``policy/`` metrics.

        The loss is the minibatch's whatever ``microbatch_tokens`` says: each microbatch is divided
        by the minibatch's denominator and gradients add up. Raises GuardError where the loss or a
        gradient is not finite or where the ratio of a first update is not 1. Gradients are gone at
        the end: their memory is the rollouts'.
        """
        self._check_probe()
        groups = self._relevant(minibatch)
        self._check_split_once(groups, minibatch.denominator)
        stats: MicrobatchStats | None = None
        for microbatch in split_by_tokens(groups, self.config.batch.microbatch_tokens):
            loss, part = self._loss(microbatch, minibatch.denominator)
            loss.backward()  # type: ignore[no-untyped-call]
            stats = part if stats is None else stats + part
        metrics = stats.metrics(self.config.algorithm.kl_coef) if stats else {"loss/total": 0.0}
        return metrics | self._step(metrics["loss/total"])

    def state(self) -> dict[str, Any]:
        """The tensors that a checkpoint needs beside the model's weights."""
        reference = self.reference.state() if self.reference else None
        return {"optimizer": self.optimizer.state_dict(), "reference": reference}

    def restore(self, state: dict[str, Any], num_updates: int) -> None:
        """Undo ``state``; the model's own weights must have been loaded already.

        The optimizer's settings stay those of the config. Raises PonderError where the config asks
        for a reference that the run did not keep.
        """
        if self.reference is not None:
            self.reference.restore(state["reference"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.num_updates = num_updates

    def _relevant(self, minibatch: Minibatch) -> list[PromptRows]:
        """The groups worth a forward pass: without KL, equal rewards give no gradient at all."""
        if self.reference is not None:
            return list(minibatch.groups)
        return [g for g in minibatch.groups if any(row.advantage for row in g.rows)]

    def _forward(self, model: PreTrainedModel, groups: Sequence[PromptRows]) -> Scored:
        batch, temperature = self.config.batch, self.config.sampling.temperature
        recompute = batch.recompute == "layers"
        return score(model, groups, temperature, batch.logprob_chunk_tokens, recompute)

    def _loss(
        self, groups: Sequence[PromptRows], denominator: float
    ) -> tuple[Tensor, MicrobatchStats]:
        """The microbatch's share of its minibatch's loss: surrogate x importance + kl_coef x KL."""
        algorithm = self.config.algorithm
        reference = self._reference_logprobs(groups)
        now = self._forward(self.model, groups)
        mask, logprobs = now.loss_mask, now.logprobs
        old = self._old_logprobs(now)
        sampler = pad([row.sampler_logprobs for row in now.rows], logprobs)
        advantages = logprobs.new_tensor([row.advantage for row in now.rows])
        surrogate, loss_stats = LOSSES[algorithm.loss](
            logprobs, old, advantages, mask, algorithm.clip_low, algorithm.clip_high
        )
        weights, importance = importance_weights(old, sampler, mask, algorithm.importance_cap)
        policy = aggregate(surrogate * weights, mask, algorithm.normalise, denominator)
        kl = torch.zeros_like(logprobs) if reference is None else k3(logprobs, reference)
        kl_loss = aggregate(kl, mask, algorithm.normalise, denominator)
        mismatch = (old - sampler).abs().masked_fill(~mask, 0.0)
        return policy + algorithm.kl_coef * kl_loss, MicrobatchStats(
            policy_loss=policy.detach().double(),
            kl_loss=kl_loss.detach().double(),
            kl_sum=token_sum(kl, mask),
            entropy_sum=token_sum(now.entropy, mask),
            mismatch_sum=token_sum(mismatch, mask),
            mismatch_max=mismatch.max(),
            loss=loss_stats,
            importance=importance,
        )

    def _old_logprobs(self, now: Scored) -> Tensor:
        known = [row.old_logprobs for row in now.rows if row.old_logprobs is not None]
        return pad(known, now.logprobs) if known else now.logprobs.detach()

    def _reference_logprobs(self, groups: Sequence[PromptRows]) -> Tensor | None:
        """[B, T], before the policy's own pass (whose graph may be of the same modules)."""
        if self.reference is None:
            return None
        with torch.no_grad(), self.reference.model() as model:
            return self._forward(model, groups).logprobs

    def _step(self, loss: float) -> dict[str, float]:
        """Apply the gradients; refresh the reference when it is due."""
        config, update = self.config, self.num_updates
        num_updates = config.steps * config.batch.minibatches
        metrics = apply_gradients(self.optimizer, config.optimizer, loss, update, num_updates)
        self.num_updates += 1
        every = config.algorithm.reference_every
        if self.reference is not None and every and self.num_updates % every == 0:
            self.reference.refresh()
        return metrics

    @torch.no_grad()
    def _logprobs(self, groups: Sequence[PromptRows]) -> list[tuple[Row, Tensor]]:
        """Every row with the [T] log-probabilities of its completion."""
        scored = self._forward(self.model, groups)
        return list(zip(scored.rows, scored.per_row(), strict=True))

    def _check_probe(self) -> None:
        """Before the first update: what ``score`` noted must still be what the model says."""
        if self._probe is None:
            return
        probe, self._probe = self._probe, None
        found = [(logprobs, row.old_logprobs) for row, logprobs in self._logprobs([probe])]
        pairs = [(now, old) for now, old in found if old is not None]
        for row in probe.rows:
            row.old_logprobs = None
        guards.check_first_ratio(
            [now for now, _ in pairs], [old for _, old in pairs], _dtype(self.model)
        )

    def _check_split_once(self, groups: Sequence[PromptRows], denominator: float) -> None:
        """At the first update of a process: two groups in one forward pass and in two."""
        sample = [g for g in groups if g.rows][:2]
        if self._split_checked or len(sample) < 2:
            return
        self._split_checked = True
        with torch.no_grad():
            whole, _ = self._loss(sample, denominator)
            parts = [self._loss([group], denominator)[0] for group in sample]
        kl_coef = self.config.algorithm.kl_coef  # rows of equal rewards have nothing but their KL
        scale = sum(
            (abs(row.advantage) + kl_coef) * len(row.completion_ids)
            for group in sample
            for row in group.rows
        )
        guards.check_split(float(whole), float(sum(parts)), scale / denominator, _dtype(self.model))


def _dtype(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype
