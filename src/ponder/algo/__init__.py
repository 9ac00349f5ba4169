"""Pure tensor math of the policy-gradient objective: no model, no text, no files."""

from ponder.algo.advantages import group_advantages
from ponder.algo.importance import ImportanceStats, importance_weights
from ponder.algo.kl import k3
from ponder.algo.logprobs import chunked_logprobs
from ponder.algo.losses import LOSSES, LossFunction, LossStats
from ponder.algo.normalise import aggregate, loss_denominator
from ponder.algo.overlong import soft_overlong

__all__ = [
    "LOSSES",
    "ImportanceStats",
    "LossFunction",
    "LossStats",
    "aggregate",
    "chunked_logprobs",
    "group_advantages",
    "importance_weights",
    "k3",
    "loss_denominator",
    "soft_overlong",
]
