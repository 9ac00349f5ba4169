"""The plan of a run, or a refusal that helps."""

from __future__ import annotations

from ponder.config.rl import RLConfig
from ponder.plan.demand import Demand, demand_of
from ponder.plan.devices import Device
from ponder.plan.fit import Plan, find_plan
from ponder.plan.memory import Sizes
from ponder.plan.refusal import refusal
from ponder.plan.shape import ModelShape


def choose(config: RLConfig, shape: ModelShape, device: Device) -> Sizes:
    """The sizes of a run where its config leaves them open, for ``train.sizes``.

    Raises PonderError where nothing fits (see ``refusal``).
    """
    return make_plan(demand_of(config, on_gpu=device.is_gpu), shape, device).sizes


def make_plan(demand: Demand, shape: ModelShape, device: Device) -> Plan:
    """The plan with the fastest sizes that fit. PonderError, naming a knob, where none do."""
    plan = find_plan(demand, shape, device)
    if plan is None:
        raise refusal(demand, shape, device)
    return plan
