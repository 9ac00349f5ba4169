"""Models that share the device with the one that is trained or sampled: their names and bytes."""

from __future__ import annotations

from collections.abc import Mapping

from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.plan.constants import GIB
from ponder.plan.demand import Beside
from ponder.plan.devices import Device
from ponder.plan.fit import usable
from ponder.plan.read import read_shape
from ponder.types import PREFERENCES


def reward_models(config: RLConfig) -> dict[str, str]:
    """The folders of the reward models that a run holds, by what the planner calls them."""
    named = {name: getattr(config.preference, name) for name in PREFERENCES}
    return {reward_model_part(name): str(path) for name, path in named.items() if path is not None}


def reward_model_part(name: str) -> str:
    """What the planner calls the reward model ``name``."""
    return f"reward model {name}"


def weights_beside(models: Mapping[str, str], dtype: str) -> Beside:
    """Bytes of the weights of ``models`` (what it is for -> where it can be read), as ``dtype``.

    Reads their configs alone. Raises PonderError, saying what it is for, where there is no model.
    """
    width = 2 if dtype == "bfloat16" else 4
    return tuple(
        (part, _num_parameters(part, spec) * float(width)) for part, spec in models.items()
    )


def _num_parameters(part: str, spec: str) -> int:
    try:
        return read_shape(spec).num_parameters
    except PonderError as error:
        raise PonderError(part, error.value, error.fix) from error


def check_fits(parts: Mapping[str, float], device: Device, field: str, value: object) -> None:
    """Refuse what cannot be held at once. PonderError naming ``field``, its value, all parts."""
    total = sum(parts.values())
    if total <= usable(device):
        return
    named = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items())
    fix = (
        f"all at once need {total / GIB:.1f} GiB ({named}) and {device.name} has "
        f"{usable(device) / GIB:.1f} to use; take smaller models, or dtype=bfloat16"
    )
    raise PonderError(field, value, fix)
