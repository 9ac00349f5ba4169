"""The student's update in on-policy distillation: reverse KL to the teacher on its own samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ponder.algo.distillation import Divergence, Head, chunked_reverse_kl, sampled_reverse_kl
from ponder.config.distil import OnPolicyConfig
from ponder.config.rl import RLConfig
from ponder.models.compiled import compile_layers
from ponder.models.packed import completion_logprobs, packed_hidden
from ponder.models.packed_layout import PackedLayout
from ponder.train import guards
from ponder.train.rl.batch import Batch, Minibatch, PromptRows, split_by_tokens
from ponder.train.rl.forward import layout_of
from ponder.train.rl.policy import Policy


@dataclass(slots=True)
class DistilStats:
    """Sums over the tokens of a microbatch (0-dim tensors); they add up to the minibatch's.

    ``agrees`` is None where the whole vocabulary was not looked at.
    """

    num_tokens: int
    loss: Tensor
    kl: Tensor
    entropy: Tensor
    mismatch: Tensor
    mismatch_max: Tensor
    agrees: Tensor | None

    def __add__(self, other: DistilStats) -> DistilStats:
        return DistilStats(
            self.num_tokens + other.num_tokens,
            self.loss + other.loss,
            self.kl + other.kl,
            self.entropy + other.entropy,
            self.mismatch + other.mismatch,
            torch.maximum(self.mismatch_max, other.mismatch_max),
            None if self.agrees is None or other.agrees is None else self.agrees + other.agrees,
        )

    def metrics(self) -> dict[str, float]:
        """The update's metrics but for the optimizer's; nats per completion token."""
        num = max(self.num_tokens, 1)
        agreement = {} if self.agrees is None else {"distil/agreement": float(self.agrees) / num}
        return {
            "loss/total": float(self.loss),
            "distil/reverse_kl": float(self.kl) / num,
            **agreement,
            "policy/entropy": float(self.entropy) / num,
            "policy/mismatch_mean": float(self.mismatch) / num,
            "policy/mismatch_max": float(self.mismatch_max),
        }


class Student(Policy):
    """A policy that learns from a teacher's distributions instead of from rewards.

    The loss of a minibatch is the mean over its completions' tokens of KL(student || teacher) at
    the rollouts' temperature. Every completion counts, right or wrong, verified or not.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        teacher: PreTrainedModel,
        config: RLConfig,
        settings: OnPolicyConfig,
    ) -> None:
        super().__init__(model, config)
        self.teacher, self.settings = teacher, settings
        if config.batch.compile and teacher.device.type == "cuda":
            compile_layers(teacher)

    def score(self, batch: Batch) -> None:
        """Nothing to note: there is no ratio to the policy of rollout time."""

    def update(self, minibatch: Minibatch) -> dict[str, float]:
        """One optimizer update; returns its ``loss/``, ``distil/`` and ``policy/`` metrics.

        The loss does not depend on ``microbatch_tokens``. Raises GuardError where it or a gradient
        is not finite, or where it depends on the split.
        """
        groups = list(minibatch.groups)
        self._check_parts_once(groups)
        stats: DistilStats | None = None
        for microbatch in split_by_tokens(groups, self.config.batch.microbatch_tokens):
            loss, part = self._divergence(microbatch, minibatch.denominator)
            loss.backward()  # type: ignore[no-untyped-call]
            stats = part if stats is None else stats + part
        assert stats is not None, "a minibatch has completions"
        metrics = stats.metrics()
        return metrics | self._step(metrics["loss/total"])

    def _divergence(
        self, groups: Sequence[PromptRows], denominator: float
    ) -> tuple[Tensor, DistilStats]:
        """The microbatch's share of its minibatch's loss, and its sums."""
        device = self.model.device
        layout = layout_of(groups, device)
        rows = (row for group in groups for row in group.rows)
        sampler = torch.tensor([p for row in rows for p in row.sampler_logprobs], device=device)
        if self.settings.estimator == "full":
            found = self._full(layout)
            per_token, kl, agrees = found.kl, found.kl.detach(), found.agrees.double().sum()
            logprobs, entropy = found.logprobs, found.entropy
        else:
            agrees = None
            per_token, kl, logprobs, entropy = self._sampled(layout, sampler)
        loss = per_token.double().sum() / denominator
        mismatch = (logprobs - sampler).abs()
        return loss, DistilStats(
            num_tokens=len(sampler),
            loss=loss.detach(),
            kl=kl.double().sum(),
            entropy=entropy.double().sum(),
            mismatch=mismatch.double().sum(),
            mismatch_max=mismatch.max(),
            agrees=agrees,
        )

    def _full(self, layout: PackedLayout) -> Divergence:
        batch = self.config.batch
        with torch.no_grad():
            theirs = _with_head(self.teacher, packed_hidden(self.teacher, layout))
        hidden = packed_hidden(self.model, layout, batch.recompute == "layers")
        return chunked_reverse_kl(
            _with_head(self.model, hidden),
            theirs,
            layout.targets,
            self.config.sampling.temperature,
            batch.logprob_chunk_tokens,
        )

    def _sampled(
        self, layout: PackedLayout, sampler: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(loss, KL, log-probability, entropy) of each token; only the loss has a gradient."""
        batch, temperature = self.config.batch, self.config.sampling.temperature
        with torch.no_grad():
            theirs, _ = completion_logprobs(
                self.teacher, layout, temperature, batch.logprob_chunk_tokens
            )
        ours, entropy = completion_logprobs(
            self.model,
            layout,
            temperature,
            batch.logprob_chunk_tokens,
            batch.recompute == "layers",
        )
        everything = torch.ones_like(sampler, dtype=torch.bool)
        loss, kl, _ = sampled_reverse_kl(
            ours, theirs, sampler, everything, self.settings.importance_cap
        )
        return loss, kl, ours.detach(), entropy

    def _check_parts_once(self, groups: Sequence[PromptRows]) -> None:
        """At the first update of a process: two groups in one forward pass and in two."""
        sample = list(groups[:2])
        if self._split_checked or len(sample) < 2:
            return
        self._split_checked = True
        with torch.no_grad():
            whole, _ = self._divergence(sample, 1.0)
            parts = [self._divergence([group], 1.0)[0] for group in sample]
        scale = float(sum(len(row.completion_ids) for group in sample for row in group.rows))
        guards.check_split(float(whole), float(sum(parts)), scale, self.model.dtype)


def _with_head(model: PreTrainedModel, hidden: Tensor) -> Head:
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear), "check_trainable has looked at the head"
    return Head(hidden, head.weight, head.bias)
