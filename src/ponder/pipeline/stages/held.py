"""What a stage that samples holds in memory, and on a GPU how long it takes."""

from __future__ import annotations

from collections.abc import Mapping

from ponder.config.rl import BatchConfig, EngineConfig, RLConfig
from ponder.pipeline.workload import Workload
from ponder.plan import memory
from ponder.plan.beside import check_fits, weights_beside
from ponder.plan.constants import FIRST_CALL_SECONDS, GIB, RUNTIME_BYTES
from ponder.plan.demand import Demand, demand_of
from ponder.plan.devices import Device
from ponder.plan.duration import Speed, decode_seconds, prefill_seconds
from ponder.plan.fit import usable
from ponder.plan.read import read_shape


def sampling_demand(work: Workload, engine: EngineConfig, on_gpu: bool) -> Demand:
    """One call of the engine in numbers."""
    step = RLConfig.model_validate({"dtype": work.dtype, "sampling": work.sampling.model_dump()})
    batch = BatchConfig(prompts_per_step=work.prompts)
    batch = batch.model_copy(update={"group_size": work.group_size})  # one is enough here
    step = step.model_copy(update={"batch": batch, "engine": engine})
    return demand_of(step, on_gpu=on_gpu)


def held_while_sampling(
    model: str, demand: Demand, device: Device, others: Mapping[str, str]
) -> dict[str, float]:
    """Bytes by part: weights, those of ``others`` (what a model is for -> where it can be read),
    the engine's own, and keys and values, as many as are wanted or as fit.

    Raises:
        PonderError: not even the weights fit; it names all models, and the setting of one.
    """
    shape = read_shape(model)
    dtype = "bfloat16" if demand.width == 2 else "float32"
    parts = {"weights": float(shape.num_parameters * demand.width)}
    parts |= dict(weights_beside(others, dtype)) | {"runtime": RUNTIME_BYTES}
    field, value = next(
        ((f"{part}.model", spec) for part, spec in others.items()), ("model", model)
    )
    check_fits(parts, device, field, value)
    parts["engine"] = memory.engine_bytes(shape, demand)
    free = usable(device) - sum(parts.values())
    wanted = demand.kv_gib * GIB or memory.wanted_kv_bytes(shape, demand)
    parts["keys and values"] = max(0.0, min(wanted, free))
    return parts


def sampling_seconds(
    model: str, demand: Demand, held: Mapping[str, float], device: Device
) -> float | None:
    """Of ``demand``, its completions as long as it says, with what is ``held``, in an engine that
    is new; None where the device's speed is not known. Verifying is not counted."""
    speed = Speed.of(device, demand)
    if speed is None:
        return None
    shape = read_shape(model)
    decoding = decode_seconds(shape, demand, held["keys and values"] / GIB, speed)
    return FIRST_CALL_SECONDS + prefill_seconds(shape, demand, speed) + decoding
