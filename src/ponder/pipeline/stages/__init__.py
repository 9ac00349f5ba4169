"""The kinds of stages. A module a kind; a kind that is not in ``KINDS`` does not exist."""

from __future__ import annotations

from ponder.pipeline.kinds import StageKind
from ponder.pipeline.stages.cold_start import COLD_START
from ponder.pipeline.stages.distillation import DISTIL
from ponder.pipeline.stages.evaluation import EVAL
from ponder.pipeline.stages.fine_tuning import SFT
from ponder.pipeline.stages.preferences import PREFERENCES
from ponder.pipeline.stages.pretraining import PRETRAIN
from ponder.pipeline.stages.reinforcement import RL
from ponder.pipeline.stages.reject import REJECT
from ponder.pipeline.stages.requests import REQUESTS
from ponder.pipeline.stages.reward_modelling import REWARD_MODEL
from ponder.pipeline.stages.solving import SOLUTIONS

KINDS: dict[str, StageKind] = {
    "rl": RL,
    "pretrain": PRETRAIN,
    "eval": EVAL,
    "sft": SFT,
    "cold_start": COLD_START,
    "reject": REJECT,
    "preferences": PREFERENCES,
    "reward_model": REWARD_MODEL,
    "requests": REQUESTS,
    "solutions": SOLUTIONS,
    "distil": DISTIL,
}
"""By the name that a recipe's ``kind`` has."""
