"""The learning rate of an update: a pure function of its number, so that nothing must be saved."""

from __future__ import annotations

import math

from ponder.config.rl import OptimizerConfig


def learning_rate(optimizer: OptimizerConfig, update: int, num_updates: int) -> float:
    """Learning rate of update number ``update`` (from 0) of a run of ``num_updates``.

    Rises linearly over ``warmup_steps`` updates (the first is already above 0), then stays, or
    falls along half a cosine to ``min_learning_rate``, which the last update comes close to.
    """
    peak, warmup = optimizer.learning_rate, optimizer.warmup_steps
    if update < warmup:
        return peak * (update + 1) / warmup
    if optimizer.schedule == "constant":
        return peak
    done = (update - warmup) / max(1, num_updates - warmup)
    low = optimizer.min_learning_rate
    return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
