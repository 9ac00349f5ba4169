"""A run that cannot fit is refused before its model is loaded, with the knob that would mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ponder.errors import PonderError
from ponder.plan import constants, memory
from ponder.plan.constants import GIB
from ponder.plan.demand import Demand
from ponder.plan.devices import Device
from ponder.plan.fit import Plan, describe, find_plan, usable
from ponder.plan.memory import Sizes
from ponder.plan.shape import ModelShape

RANK = 16
"""Of the adapters that a refusal proposes."""

Knob = tuple[str, object, str, Demand]
"""Field, value now, the settings that would do instead, and what is then asked for."""


def refusal(demand: Demand, shape: ModelShape, device: Device) -> PonderError:
    """Why no sizes fit, and the first knob that makes it fit; gentle knobs come first."""
    short = shortage(demand, shape, device)
    for field, value, setting, changed in _knobs(demand, shape, device):
        plan = find_plan(changed, shape, device)
        if plan is not None:
            return PonderError(field, value, f"{short}; {setting} fits ({_needs(plan)})")
    return PonderError("model", shape.name, f"{short}; {_smaller(demand, shape, device)}")


def shortage(demand: Demand, shape: ModelShape, device: Device) -> str:
    """What sizes that the config allows would need, against what there is."""
    host = memory.host_bytes(shape, demand)
    if device.host_memory is not None and host > device.host_memory:
        there = device.host_memory / GIB
        return f"the offloaded optimizer needs {host / GIB:.0f} GiB of host memory of {there:.0f}"
    plan = _leanest(demand, shape, device)
    phases = {
        "loading": memory.loading(shape, demand),
        "sampling": plan.rollout,
        "an update": plan.update,
    }
    phase, parts = max(phases.items(), key=lambda entry: sum(entry[1].values()))
    biggest = sorted(parts.items(), key=lambda entry: -entry[1])[:3]
    biggest += [part for part in demand.beside if part not in biggest]
    named = ", ".join(f"{name} {size / GIB:.1f}" for name, size in biggest)
    return (
        f"{phase} of {shape.name} needs {sum(parts.values()) / GIB:.1f} GiB ({named}) and "
        f"{device.name} has {usable(device) / GIB:.1f} to use"
    )


def _leanest(demand: Demand, shape: ModelShape, device: Device) -> Plan:
    recompute = "none" if demand.recompute == "none" else "layers"
    sizes = Sizes(
        demand.microbatch_tokens or constants.MICROBATCHES[0],
        demand.chunk_tokens or constants.CHUNKS[0],
        "none" if recompute == "none" else "layers",
        demand.kv_gib or memory.least_kv_bytes(shape, demand) / GIB,
    )
    return describe(demand, shape, device, sizes)


def _knobs(demand: Demand, shape: ModelShape, device: Device) -> Iterator[Knob]:
    """One knob at a time, then two; the first that fits is told."""
    yield from _sizes(demand)
    if demand.kv_gib:
        changed = replace(demand, kv_gib=0.0)
        setting = "engine.memory_gib=0 (chosen)"
        yield "engine.memory_gib", demand.kv_gib, setting, changed
    offloaded = replace(demand, offload=True, has_masters=True)
    can_offload = demand.has_masters or demand.width == 4  # the config forbids the other case
    if can_offload and not demand.offload:
        yield "optimizer.offload", False, "optimizer.offload=true", offloaded
    yield from _shorter(demand, lambda d: find_plan(d, shape, device) is not None)
    if not demand.lora_rank:
        adapted = replace(demand, lora_rank=RANK)
        quantized = replace(adapted, is_quantized=True)
        yield "lora.rank", 0, f"lora.rank={RANK}", adapted
        yield "lora.rank", 0, f"lora.rank={RANK} with lora.quantize=nf4", quantized
    elif not demand.is_quantized:
        changed = replace(demand, is_quantized=True)
        yield "lora.quantize", "none", "lora.quantize=nf4", changed


def _sizes(demand: Demand) -> Iterator[Knob]:
    """What the config fixes and the planner would have chosen otherwise."""
    free = demand
    if demand.microbatch_tokens:
        free = replace(free, microbatch_tokens=0)
        yield _freed("batch.microbatch_tokens", demand.microbatch_tokens, "0 (chosen)", free)
    if demand.chunk_tokens:
        free = replace(free, chunk_tokens=0)
        yield _freed("batch.logprob_chunk_tokens", demand.chunk_tokens, "0 (chosen)", free)
    if demand.recompute == "none":
        alone = replace(demand, recompute="layers")
        yield _freed("batch.recompute", "none", "layers", alone)
        if free is not demand:
            both = replace(free, recompute="layers")
            setting = "layers with the batch's token sizes 0 (chosen)"
            yield _freed("batch.recompute", "none", setting, both)


def _freed(field: str, value: object, setting: str, changed: Demand) -> Knob:
    return field, value, f"{field}={setting}", changed


def _shorter(demand: Demand, fits: Callable[[Demand], bool]) -> Iterator[Knob]:
    """The longest limit that fits, in steps of 128 tokens, if it is a quarter of ours or more."""
    low, high = demand.limit // 4 // 128, -(-demand.limit // 128)
    if low < 1 or not fits(_limited(demand, low * 128)):
        return
    while high - low > 1:
        middle = (low + high) // 2
        if fits(_limited(demand, middle * 128)):
            low = middle
        else:
            high = middle
    field, limit = "sampling.max_completion_tokens", low * 128
    yield field, demand.limit, f"{field}={limit}", _limited(demand, limit)


def _limited(demand: Demand, limit: int) -> Demand:
    return replace(demand, limit=limit, mean_tokens=min(demand.mean_tokens, limit))


def _needs(plan: Plan) -> str:
    sizes = plan.sizes
    again = ", layers recomputed" if sizes.recompute == "layers" else ""
    there = (
        f"peak {plan.peak / GIB:.1f} GiB, microbatches of {sizes.microbatch_tokens:,} tokens{again}"
    )
    host = memory.host_bytes(plan.shape, plan.demand)
    return f"{there}, and {host / GIB:.0f} GiB of the host's memory" if host else there


def _smaller(demand: Demand, shape: ModelShape, device: Device) -> str:
    """How many parameters the device could hold in this mode, activations aside."""
    parts = memory.weights(shape, demand)
    fixed = parts.pop("runtime") + sum(parts.pop(name) for name, _ in demand.beside)
    per_number = (sum(parts.values()) + memory.gradient_bytes(shape, demand)) / shape.num_parameters
    room = (usable(device) - fixed) / per_number / 1e9
    now = f"this one has {shape.num_parameters / 1e9:.1f}"
    return (
        f"no single setting mends that: use a smaller model (in this mode at most about {room:.1f} "
        f"billion parameters fit; {now}) or a larger GPU"
    )
