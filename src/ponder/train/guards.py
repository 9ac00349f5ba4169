"""Guards: invariants that, when broken, cost others months. Each failure stops the run.

(One problem per group is in ``batch.py``, where groups are looked at anyway.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ponder.errors import GuardError

RATIO_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6, torch.bfloat16: 0.1}
"""Largest mean |log ratio| of a group's tokens before the first update after a rollout, by compute
type: both passes run the same weights, so only the order of sums may differ. (A mean, since single
tokens of a real model in bfloat16 are off by up to 3 nats.)"""

SPLIT_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9, torch.bfloat16: 2e-2}
"""Largest difference between a loss and the sum of its parts, relative to the sum of |terms|."""


def weight_checksum(model: nn.Module) -> int:
    """An exact checksum of every parameter: equal weights give equal sums, in any memory layout.

    The bits of each tensor are summed as integers, weighted by its place in the list of names.
    """
    total = 0
    for place, (_, parameter) in enumerate(sorted(model.named_parameters()), start=1):
        bits = parameter.detach().contiguous().view(_INTEGERS[parameter.element_size()])
        total += place * int(bits.sum(dtype=torch.int64))
    return total


_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def check_handover(policy: nn.Module, generator: nn.Module, step: int) -> None:
    """The generator must sample from the weights that were just trained.

    Where it has the very object that is trained there is nothing to compare.
    """
    if generator is policy:
        return
    ours, theirs = weight_checksum(policy), weight_checksum(generator)
    if ours != theirs:
        raise GuardError(
            f"after step {step} the generator's weights (checksum {theirs:x}) are not the policy's "
            f"({ours:x}): generator.load did not hand over every parameter"
        )


def check_first_ratio(
    logprobs: Sequence[Tensor], old_logprobs: Sequence[Tensor], dtype: torch.dtype
) -> None:
    """Before any update of a step, policy and old policy are the same: every ratio is 1.

    Args:
        logprobs, old_logprobs: [T] of each of some completions.
    """
    differences = [(new - old).abs() for new, old in zip(logprobs, old_logprobs, strict=True)]
    mean = float(torch.cat(differences).mean())
    if not mean <= RATIO_TOLERANCE[dtype]:
        raise GuardError(
            f"before the first update after a rollout the mean |log ratio| of a group is {mean:.3g}"
            f" (at most {RATIO_TOLERANCE[dtype]:g}): old_logprobs were not computed by the same "
            "weights, tokens or temperature (see Policy.score)"
        )


def check_finite(values: Mapping[str, float], update: int) -> None:
    """A loss or a gradient that is NaN or infinite must never reach the optimizer."""
    broken = {key: value for key, value in values.items() if not math.isfinite(value)}
    if broken:
        raise GuardError(
            f"update {update}: {', '.join(f'{k} is {v}' for k, v in broken.items())}; the weights "
            "are untouched. Look at the texts of this step, lower optimizer.learning_rate, "
            'lengthen optimizer.warmup_steps, or use dtype = "float32"'
        )


def check_split(whole: float, parts: float, scale: float, dtype: torch.dtype) -> None:
    """The loss must not depend on how a minibatch is split into microbatches.

    A loss that is not finite is left to ``check_finite``, which says so.
    """
    if math.isfinite(whole) and not abs(whole - parts) <= SPLIT_TOLERANCE[dtype] * max(
        scale, 1e-12
    ):
        raise GuardError(
            f"the loss of a minibatch is {whole!r} in one piece and {parts!r} in several: the "
            "denominator or the packing depends on it (see train/rl/batch.py, algo/normalise.py)"
        )


def check_progress(first_step: int, next_step: int, steps: int, stopped: bool) -> None:
    """A run that had steps to do and did none, without being told to stop, is broken."""
    if next_step == first_step and first_step < steps and not stopped:
        raise GuardError(
            f"no step was done: the run was at step {first_step} of {steps} and is still there"
        )
