"""The plan of a run on the GPU of this machine."""

from __future__ import annotations

from ponder.config.rl import RLConfig
from ponder.plan.beside import reward_models, weights_beside
from ponder.plan.demand import demand_of
from ponder.plan.devices import this_gpu
from ponder.plan.fit import Plan
from ponder.plan.plan import make_plan
from ponder.plan.read import read_shape


def plan_run(config: RLConfig, model: str) -> Plan | None:
    """What ``config`` will take here; None where it runs on a CPU. Reads no weights.

    ``model`` is where the weights will come from: ``config.model``, or a checkpoint.

    Raises PonderError where it cannot fit, naming the setting that would mend it.
    """
    device = None if config.device == "cpu" else this_gpu()
    if device is None:
        return None
    beside = weights_beside(reward_models(config), config.dtype)
    return make_plan(demand_of(config, beside=beside), read_shape(model), device)
