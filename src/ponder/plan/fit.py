"""Sizes that fit, and the memory and time that they take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from ponder.plan import constants, memory
from ponder.plan.constants import GIB
from ponder.plan.demand import Demand
from ponder.plan.devices import Device
from ponder.plan.duration import Speed, Times, slots_at_once, step_times, train_seconds
from ponder.plan.memory import Parts, Sizes
from ponder.plan.shape import ModelShape

CPU_MICROBATCH, CPU_CHUNK = 16384, 1024
"""What is taken on a CPU where the config leaves it open (``train.sizes``)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step will take. ``times`` and ``floor`` are None where no speed is known."""

    shape: ModelShape
    device: Device
    demand: Demand
    sizes: Sizes
    rollout: Parts
    update: Parts
    times: Times | None
    floor: Times | None

    @property
    def limit(self) -> float:
        """Bytes that may be used: the device's, less the margin."""
        return usable(self.device)

    @property
    def peak(self) -> float:
        """Bytes at the worse of the two phases."""
        return max(sum(self.rollout.values()), sum(self.update.values()))

    @property
    def seconds(self) -> float | None:
        return sum(self.times.values()) if self.times else None

    @property
    def share_of_floor(self) -> float | None:
        """The floor's time over ours: 1 is a step bound by the hardware alone."""
        if self.times is None or self.floor is None:
            return None
        return sum(self.floor.values()) / sum(self.times.values())

    @property
    def tokens(self) -> float:
        """Completion tokens of a step, as expected."""
        return self.demand.num_rollouts * self.demand.mean_tokens

    @property
    def slots_at_once(self) -> int:
        """Sequences that the engine can hold at a time."""
        return slots_at_once(self.shape, self.demand, self.sizes.kv_gib)

    def summary(self) -> str:
        """One line for a run's notes."""
        sizes = self.sizes
        time = "" if self.seconds is None else f", about {self.seconds:.1f} s a step"
        again = ", layers recomputed" if sizes.recompute == "layers" else ""
        return (
            f"plan: peak {self.peak / GIB:.1f} of {self.limit / GIB:.1f} GiB{time} (completions of "
            f"{self.demand.mean_tokens:,.0f} tokens); microbatches of {sizes.microbatch_tokens:,} "
            f"tokens, logits of {sizes.chunk_tokens:,}{again}, {sizes.kv_gib:.1f} GiB of keys "
            "and values"
        )


def find_plan(demand: Demand, shape: ModelShape, device: Device) -> Plan | None:
    """The plan with the fastest sizes that fit, or None.

    Among sizes within ``constants.GOOD_ENOUGH`` of the fastest update the smallest peak wins.
    """
    kv_bytes = _cache_bytes(demand, shape, device)
    if kv_bytes is None or not can_begin(demand, shape, device):
        return None
    speed = Speed.of(device, demand)
    fitting: list[tuple[float, float, Sizes]] = []
    for sizes in _candidates(demand, device, kv_bytes / GIB):
        peak = sum(memory.update(shape, demand, sizes).values())
        if peak <= usable(device):
            fitting.append((_update_cost(shape, demand, sizes, speed), peak, sizes))
    if not fitting:
        return None
    fastest = min(cost for cost, _, _ in fitting)
    good = [entry for entry in fitting if entry[0] <= constants.GOOD_ENOUGH * fastest]
    sizes = min(good, key=lambda entry: (entry[1], entry[0]))[2]
    return describe(demand, shape, device, sizes)


def describe(demand: Demand, shape: ModelShape, device: Device, sizes: Sizes) -> Plan:
    """Memory and time with these ``sizes``, whether or not they fit."""
    speed = Speed.of(device, demand)
    return Plan(
        shape=shape,
        device=device,
        demand=demand,
        sizes=sizes,
        rollout=memory.rollout(shape, demand, sizes.kv_gib),
        update=memory.update(shape, demand, sizes),
        times=step_times(shape, demand, sizes, speed) if speed else None,
        floor=step_times(shape, demand, sizes, speed.floor()) if speed else None,
    )


def can_begin(demand: Demand, shape: ModelShape, device: Device) -> bool:
    """Whether the model can be read at all, and the host hold what is offloaded to it."""
    is_loaded = sum(memory.loading(shape, demand).values()) <= usable(device)
    return is_loaded and memory.host_bytes(shape, demand) <= (device.host_memory or inf)


def usable(device: Device) -> float:
    """Bytes of the device that a plan may use."""
    return device.memory * (1 - constants.MARGIN)


def _cache_bytes(demand: Demand, shape: ModelShape, device: Device) -> float | None:
    """Keys and values: as many as are wanted, or as fit; None where not one sequence fits."""
    others = sum(memory.rollout(shape, demand, kv_gib=0.0).values())
    free = usable(device) - others
    wanted = demand.kv_gib * GIB or min(memory.wanted_kv_bytes(shape, demand), free)
    least = memory.least_kv_bytes(shape, demand)
    return wanted if least <= wanted <= free else None


def _candidates(demand: Demand, device: Device, kv_gib: float) -> Iterator[Sizes]:
    """Every combination that the config allows, none larger than the batch.

    Microbatches hold the longest possible sequence, so that shorter ones are not alone in theirs.
    """
    if device.is_gpu:
        whole, longest = demand.most_update_tokens, demand.longest
        microbatches = sorted({min(max(m, longest), whole) for m in constants.MICROBATCHES})
        chunks = [c for c in constants.CHUNKS if c < 2 * whole] or [constants.CHUNKS[0]]
    else:
        microbatches, chunks = [CPU_MICROBATCH], [CPU_CHUNK]
    for microbatch in [demand.microbatch_tokens] if demand.microbatch_tokens else microbatches:
        for chunk in [demand.chunk_tokens] if demand.chunk_tokens else chunks:
            if demand.recompute in ("auto", "none"):
                yield Sizes(microbatch, chunk, "none", kv_gib)
            if demand.recompute == "layers" or (demand.recompute == "auto" and device.is_gpu):
                yield Sizes(microbatch, chunk, "layers", kv_gib)


def _update_cost(shape: ModelShape, demand: Demand, sizes: Sizes, speed: Speed | None) -> float:
    """Seconds of the update; without known speeds, a rank: fewer FLOPs, then larger sizes."""
    if speed is not None:
        return train_seconds(shape, demand, sizes, speed)
    return (sizes.recompute == "layers") + 100 / sizes.microbatch_tokens + 10 / sizes.chunk_tokens
