"""What the KL term holds the policy against."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from torch import Tensor
from transformers import PreTrainedModel

from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.models.lora import adapters_off


class Reference(Protocol):
    """A frozen policy."""

    def model(self) -> AbstractContextManager[PreTrainedModel]:
        """The model to score with, inside."""

    def refresh(self) -> None:
        """From now on the reference is the policy as it is now."""

    def state(self) -> dict[str, Tensor] | None:
        """The tensors that a checkpoint needs (None: none)."""

    def restore(self, state: dict[str, Tensor] | None) -> None:
        """Undo ``state``. PonderError where a needed one is missing."""


def make_reference(policy: PreTrainedModel, config: RLConfig) -> Reference | None:
    """The policy's own base if it trains adapters, else a copy of it; None without a KL term."""
    kl_coef = config.algorithm.kl_coef
    if not kl_coef:
        return None
    return BaseOfAdapters(policy) if config.lora.rank else FrozenCopy(policy, kl_coef)


class FrozenCopy:
    """A copy of the policy's weights."""

    def __init__(self, policy: PreTrainedModel, kl_coef: float = 0.0) -> None:
        self._policy = policy
        self._kl_coef = kl_coef
        self._copy = copy.deepcopy(policy).eval().requires_grad_(False)

    @contextmanager
    def model(self) -> Iterator[PreTrainedModel]:
        yield self._copy

    def refresh(self) -> None:
        self._copy.load_state_dict(self._policy.state_dict())

    def state(self) -> dict[str, Tensor] | None:
        state: dict[str, Any] = self._copy.state_dict()
        return state

    def restore(self, state: dict[str, Tensor] | None) -> None:
        if state is None:
            fix = "the checkpoint has no reference; set it to 0 again, or start a new run from it"
            raise PonderError("algorithm.kl_coef", self._kl_coef, fix)
        self._copy.load_state_dict(state)


class BaseOfAdapters:
    """The policy with its adapters switched off: no second copy, and never another one."""

    def __init__(self, policy: PreTrainedModel) -> None:
        self._policy = policy

    @contextmanager
    def model(self) -> Iterator[PreTrainedModel]:
        with adapters_off(self._policy):
            yield self._policy

    def refresh(self) -> None:
        fix = "with adapters the reference is the base, for good: set it to 0"
        raise PonderError("algorithm.reference_every", "not 0", fix)

    def state(self) -> dict[str, Tensor] | None:
        return None

    def restore(self, state: dict[str, Tensor] | None) -> None:
        """There is nothing to restore."""
