"""The model that is fine-tuned: one optimizer update per batch of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ponder.config.sft import SFTBatchConfig, SFTConfig
from ponder.errors import GuardError
from ponder.models.compiled import compile_layers
from ponder.models.packed import completion_logprobs
from ponder.models.packed_layout import PackedLayout
from ponder.train import guards
from ponder.train.optimizer import apply_gradients, make_optimizer
from ponder.train.sft.packing import fill_rate, pack
from ponder.train.sft.store import Sample
from ponder.train.sizes import CHOSEN, fill_open


class Learner:
    """A model, its optimizer and the count of updates, which decides the learning rate.

    The loss of an update is the cross-entropy in nats, summed over the completions' tokens of its
    whole batch and divided by their number: however the batch is split into forward passes, and
    whichever samples share one. The model stays in eval mode.
    """

    def __init__(self, model: PreTrainedModel, config: SFTConfig, steps: int) -> None:
        self.model, self.config, self.steps = model.eval(), config, steps
        self.batch = resolve_batch(config.batch, model.device.type)
        self.optimizer = make_optimizer(model, config.optimizer)
        if config.batch.compile and model.device.type == "cuda":
            compile_layers(model)
        self.num_updates = 0
        self._split_checked = False

    def update(self, samples: Sequence[Sample]) -> dict[str, float]:
        """One optimizer update; returns its ``loss/``, ``policy/`` and ``sft/`` metrics.

        Raises GuardError where the loss or a gradient is not finite (the weights are untouched) or
        the loss depends on the split.
        """
        denominator = sum(len(sample.completion_ids) for sample in samples)
        if not samples or not all(sample.completion_ids for sample in samples):
            raise GuardError("an update has a sample without a completion token: nothing to learn")
        self._check_split_once(samples)
        lengths = [sample.num_tokens for sample in samples]
        packs = pack(lengths, self.batch.microbatch_tokens)
        sums = []
        for members in packs:
            loss, entropy = self._sums([samples[i] for i in members])
            (loss / denominator).backward()  # type: ignore[no-untyped-call]
            sums.append(torch.stack([loss.detach(), entropy]))
        loss_sum, entropy_sum = torch.stack(sums).sum(0).tolist()
        return {
            "loss/total": loss_sum / denominator,
            "policy/entropy": entropy_sum / denominator,
            **self._step(loss_sum / denominator),
            "sft/fill": fill_rate(lengths, packs, self.batch.microbatch_tokens),
            "sft/samples": len(samples),
            "sft/tokens": sum(lengths),
            "sft/completion_tokens": denominator,
            "sft/forward_passes": len(packs),
        }

    @torch.no_grad()
    def mean_loss(self, samples: Sequence[Sample]) -> float:
        """The cross-entropy per completion token of samples that are not trained on."""
        packs = pack([sample.num_tokens for sample in samples], self.batch.microbatch_tokens)
        sums = [self._sums([samples[i] for i in members])[0] for members in packs]
        num_tokens = sum(len(sample.completion_ids) for sample in samples)
        return float(torch.stack(sums).sum()) / num_tokens

    def state(self) -> dict[str, Any]:
        """The tensors that a checkpoint needs beside the model's weights."""
        return {"optimizer": self.optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any], num_updates: int) -> None:
        """Undo ``state``; the model's own weights must have been loaded already."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.num_updates = num_updates

    def _sums(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Cross-entropy (differentiable) and entropy, each summed over the completions' tokens."""
        logprobs, entropy = completion_logprobs(
            self.model,
            layout_of(samples, self.batch.share_prompts, self.model.device),
            temperature=1.0,
            chunk_tokens=self.batch.logprob_chunk_tokens,
            recompute=self.batch.recompute == "layers",
        )
        return -logprobs.double().sum(), entropy.double().sum()

    def _step(self, loss: float) -> dict[str, float]:
        metrics = apply_gradients(
            self.optimizer, self.config.optimizer, loss, self.num_updates, self.steps
        )
        self.num_updates += 1
        return metrics

    def _check_split_once(self, samples: Sequence[Sample]) -> None:
        """At the first update of a process: two samples in one forward pass and in two."""
        if self._split_checked or len(samples) < 2:
            return
        self._split_checked = True
        pair = sorted(samples, key=lambda sample: sample.num_tokens)[:2]
        with torch.no_grad():
            whole, parts = self._sums(pair)[0], [self._sums([sample])[0] for sample in pair]
        scale = sum(len(sample.completion_ids) for sample in pair)
        guards.check_split(float(whole), float(sum(parts)), scale, self.model.dtype)


def layout_of(
    samples: Sequence[Sample], share_prompts: bool, device: torch.device | str
) -> PackedLayout:
    """Samples in one flat row; with ``share_prompts`` equal prompts are in it once.

    Attention sees a sample's own prompt and completion only, at positions from 0.
    """
    prompts: list[list[int]] = []
    known: dict[tuple[int, ...], int] = {}
    owners = []
    for sample in samples:
        place = known.setdefault(tuple(sample.prompt_ids), len(prompts)) if share_prompts else -1
        if place in (-1, len(prompts)):
            place = len(prompts)
            prompts.append(sample.prompt_ids)
        owners.append(place)
    return PackedLayout.build(prompts, [s.completion_ids for s in samples], owners, device)


def resolve_batch(batch: SFTBatchConfig, device_type: str) -> SFTBatchConfig:
    """Sizes that the config leaves open (0 or "auto") as numbers."""
    return fill_open(batch, CHOSEN[device_type])
