"""AdamW behind one small interface: on the parameters themselves, or on float32 copies of them.

Bytes per parameter on the GPU, weights included:

| weights | optimizer | GPU | host |
|---|---|---|---|
| float32 | ``PlainAdamW`` | 4 + 4 (gradient) + 8 (moments) | |
| bfloat16 | ``MasterAdamW`` | 2 + 4 (master) + 4 (gradient) + 8 (moments) | |
| bfloat16 | ``MasterAdamW``, ``offload`` | 2 + 4 (gradient) | 4 + 8, and 1 GiB |
| bfloat16 | ``PlainAdamW`` (``master_weights = false``) | 2 + 2 + 4 (bfloat16 moments) | |

Gradients exist from the first backward pass of an update to its end, not during a rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ponder.config.rl import OptimizerConfig
from ponder.errors import PonderError
from ponder.train import guards
from ponder.train.masters import MasterAdamW
from ponder.train.schedule import learning_rate


class Optimizer(Protocol):
    """What an update needs, in the order in which it needs it."""

    def zero_grad(self) -> None:
        """Forget the gradients and free their memory."""

    def clip_gradients(self) -> float:
        """Scale the gradients to ``max_grad_norm`` at most; returns their norm before."""

    def step(self, rate: float) -> None:
        """Apply the gradients at learning rate ``rate``; parameters change in place."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs (live tensors, not copies)."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo ``state_dict``; settings stay those of the config. PonderError if it is of the
        other kind of optimizer or of another model."""


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """The optimizer for the trainable parameters of ``model`` that ``config`` asks for."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    is_narrow = any(p.dtype.itemsize < 4 for p in parameters)
    if config.offload or (is_narrow and config.master_weights):
        return MasterAdamW(parameters, config)
    return PlainAdamW(parameters, config)


class PlainAdamW:
    """Fused AdamW on the parameters themselves, weight decay on matrices only.

    Gradients and moments have the parameters' type: in bfloat16 an update smaller than a weight's
    last bit is lost.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], config: OptimizerConfig) -> None:
        self.config = config
        self.parameters = list(parameters)
        self.inner = torch.optim.AdamW(
            decay_groups(parameters, config.weight_decay),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.eps,
            fused=True,
        )

    def zero_grad(self) -> None:
        self.inner.zero_grad()

    def clip_gradients(self) -> float:
        for parameter in self.parameters:
            if parameter.grad is None:  # nothing in the loss: the optimizer's momentum still moves
                parameter.grad = torch.zeros_like(parameter)
        norm: Tensor = nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        return float(norm)

    def step(self, rate: float) -> None:
        for group in self.inner.param_groups:
            group["lr"] = rate
        self.inner.step()

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "param_groups" not in state:
            fix = (
                "the checkpoint has float32 master weights: resume with the settings it began with"
            )
            raise PonderError("optimizer.master_weights", self.config.master_weights, fix)
        settings = [_settings(group) for group in self.inner.param_groups]
        self.inner.load_state_dict(state)
        for group, ours in zip(self.inner.param_groups, settings, strict=True):
            group.update(ours)


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for torch's optimizers: matrices decay, norms and biases do not."""
    known = list(parameters)
    return [
        {"params": [p for p in known if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in known if p.ndim < 2], "weight_decay": 0.0},
    ]


def apply_gradients(
    optimizer: Optimizer, config: OptimizerConfig, loss: float, update: int, num_updates: int
) -> dict[str, float]:
    """Clip, check and apply the gradients of update ``update`` of ``num_updates``; forget them.

    Returns the metrics of the optimizer. Raises GuardError where the loss or the gradients' norm is
    not finite; the weights are untouched then.
    """
    norm = optimizer.clip_gradients()
    guards.check_finite({"the loss": loss, "the gradient norm": norm}, update)
    rate = learning_rate(config, update, num_updates)
    optimizer.step(rate)
    optimizer.zero_grad()
    return {"policy/grad_norm": norm, "policy/learning_rate": rate}


def _settings(param_group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in param_group.items() if key != "params"}
