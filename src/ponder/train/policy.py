"""The model being trained: one optimizer update per minibatch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ponder.algo import LOSSES, aggregate, importance_weights, k3
from ponder.config.rl import OptimizerConfig, RLConfig
from ponder.errors import PonderError
from ponder.train import guards
from ponder.train.batch import Batch, Minibatch, PromptRows, split_by_tokens
from ponder.train.forward import Scored, pad, score
from ponder.train.measure import MicrobatchStats, token_sum
from ponder.train.schedule import learning_rate
from ponder.train.sizes import resolve_sizes


class Policy:
    """The policy, its optimizer and, where there is a KL term, its reference.

    The model stays in eval mode (dropout would make the policy ratio noise). ``num_updates`` counts
    the updates since the start of the run and decides the learning rate.
    """

    def __init__(self, model: PreTrainedModel, config: RLConfig) -> None:
        self.model = model.eval()
        self.config = config = resolve_sizes(config)
        self.optimizer = _adamw(model, config.optimizer)
        self.reference = _frozen_copy(model) if config.algorithm.kl_coef > 0 else None
        self.num_updates = 0
        self._is_fresh = False
        self._split_checked = False

    def score(self, batch: Batch) -> None:
        """Note the log-probabilities at rollout time of every row, before the first update.

        With one minibatch the update's own forward pass serves (the ratio is exactly 1 and its
        gradient is that of the surrogate), so there is nothing to do.
        """
        self._is_fresh = True
        if len(batch.minibatches) == 1:
            return
        groups = [group for minibatch in batch.minibatches for group in self._relevant(minibatch)]
        with torch.no_grad():
            for microbatch in split_by_tokens(groups, self.config.batch.microbatch_tokens):
                scored = self._forward(self.model, microbatch)
                for row, logprobs in zip(scored.rows, scored.per_row(), strict=True):
                    row.old_logprobs = logprobs

    def update(self, minibatch: Minibatch) -> dict[str, float]:
        """One optimizer update; returns its ``loss/`` and ``policy/`` metrics.

        The loss is the minibatch's whatever ``microbatch_tokens`` says: each microbatch is divided
        by the minibatch's denominator and gradients add up. Raises GuardError where the loss or a
        gradient is not finite or where the ratio of a first update is not 1.
        """
        self.optimizer.zero_grad()
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
        reference = self.reference.state_dict() if self.reference else None
        return {"optimizer": self.optimizer.state_dict(), "reference": reference}

    def restore(self, state: dict[str, Any], num_updates: int) -> None:
        """Undo ``state``; the model's own weights must have been loaded already.

        The optimizer's settings stay those of the config. Raises PonderError where the config asks
        for a reference that the run did not keep.
        """
        kl_coef = self.config.algorithm.kl_coef
        if self.reference is not None and state["reference"] is None:
            fix = "the checkpoint has no reference; set it to 0 again, or start a new run from it"
            raise PonderError("algorithm.kl_coef", kl_coef, fix)
        settings = [_settings(group) for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, ours in zip(self.optimizer.param_groups, settings, strict=True):
            group.update(ours)
        if self.reference is not None:
            self.reference.load_state_dict(state["reference"])
        self.num_updates = num_updates

    def _relevant(self, minibatch: Minibatch) -> list[PromptRows]:
        """The groups worth a forward pass: without KL, equal rewards give no gradient at all."""
        if self.reference is not None:
            return list(minibatch.groups)
        return [g for g in minibatch.groups if any(row.advantage for row in g.rows)]

    def _forward(self, model: PreTrainedModel, groups: Sequence[PromptRows]) -> Scored:
        config = self.config
        return score(model, groups, config.sampling.temperature, config.batch.logprob_chunk_tokens)

    def _loss(
        self, groups: Sequence[PromptRows], denominator: float
    ) -> tuple[Tensor, MicrobatchStats]:
        """The microbatch's share of its minibatch's loss: surrogate x importance + kl_coef x KL."""
        algorithm = self.config.algorithm
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
        kl = self._kl(groups, logprobs)
        kl_loss = aggregate(kl, mask, algorithm.normalise, denominator)
        mismatch = (old - sampler).abs().masked_fill(~mask, 0.0)
        return policy + algorithm.kl_coef * kl_loss, MicrobatchStats(
            policy_loss=float(policy.detach()),
            kl_loss=float(kl_loss.detach()),
            kl_sum=token_sum(kl, mask),
            entropy_sum=token_sum(now.entropy, mask),
            mismatch_sum=token_sum(mismatch, mask),
            mismatch_max=float(mismatch.max()),
            loss=loss_stats,
            importance=importance,
        )

    def _old_logprobs(self, now: Scored) -> Tensor:
        known = [row.old_logprobs for row in now.rows if row.old_logprobs is not None]
        if not known:
            return now.logprobs.detach()
        old = pad(known, now.logprobs)
        if self._is_fresh:
            guards.check_first_ratio(now.logprobs, old, _dtype(self.model))
        return old

    def _kl(self, groups: Sequence[PromptRows], logprobs: Tensor) -> Tensor:
        if self.reference is None:
            return torch.zeros_like(logprobs)
        with torch.no_grad():
            reference = self._forward(self.reference, groups).logprobs
        return k3(logprobs, reference)

    def _step(self, loss: float) -> dict[str, float]:
        """Clip, check and apply the gradients; refresh the reference when it is due."""
        optimizer, update = self.config.optimizer, self.num_updates
        parameters = list(self.model.parameters())
        for parameter in parameters:
            if parameter.grad is None:  # nothing in the loss: the optimizer's momentum still moves
                parameter.grad = torch.zeros_like(parameter)
        norm = float(nn.utils.clip_grad_norm_(parameters, optimizer.max_grad_norm))
        guards.check_finite({"loss": loss, "the gradient norm": norm}, update)
        rate = learning_rate(optimizer, update, self.config.steps * self.config.batch.minibatches)
        for param_group in self.optimizer.param_groups:
            param_group["lr"] = rate
        self.optimizer.step()
        self.num_updates += 1
        self._is_fresh = False
        every = self.config.algorithm.reference_every
        if self.reference is not None and every and self.num_updates % every == 0:
            self.reference.load_state_dict(self.model.state_dict())
        return {"policy/grad_norm": norm, "policy/learning_rate": rate}

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


def _adamw(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only (norms and biases are vectors)."""
    parameters = list(model.parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )


def _settings(param_group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in param_group.items() if key != "params"}


def _frozen_copy(model: PreTrainedModel) -> PreTrainedModel:
    return copy.deepcopy(model).eval().requires_grad_(False)
