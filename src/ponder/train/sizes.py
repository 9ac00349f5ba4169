"""Sizes that a config leaves to Ponder (0 or "auto") become numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ponder.config.base import Config
from ponder.config.rl import RLConfig
from ponder.models.device import resolve_device
from ponder.plan import Plan

BatchT = TypeVar("BatchT", bound=Config)

CHOSEN: dict[str, dict[str, Any]] = {
    "cpu": {"microbatch_tokens": 16384, "logprob_chunk_tokens": 1024, "recompute": "none"},
    "cuda": {"microbatch_tokens": 16384, "logprob_chunk_tokens": 2048, "recompute": "layers"},
}
"""By device: what is taken where the config leaves it open and there is no plan."""


def resolve_sizes(config: RLConfig, plan: Plan | None = None) -> RLConfig:
    """``config`` with every size under ``batch`` chosen; what it names itself stays.

    A run on a GPU gives its ``plan`` (``ponder.plan.here``); a policy that is built without one
    gets sizes that are safe rather than fast. Sizes change memory and the order of sums, not the
    loss.
    """
    chosen = _planned(plan) if plan else CHOSEN[resolve_device(config.device).type]
    return config.model_copy(update={"batch": fill_open(config.batch, chosen)})


def fill_open(batch: BatchT, chosen: Mapping[str, Any]) -> BatchT:
    """``batch`` with the sizes that it leaves open as ``chosen``."""
    return batch.model_copy(
        update={key: size for key, size in chosen.items() if getattr(batch, key) in (0, "auto")}
    )


def _planned(plan: Plan) -> dict[str, Any]:
    return {
        "microbatch_tokens": plan.sizes.microbatch_tokens,
        "logprob_chunk_tokens": plan.sizes.chunk_tokens,
        "recompute": plan.sizes.recompute,
    }
