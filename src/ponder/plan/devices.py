"""GPUs: how much they hold and how fast they really are, with the source of each figure."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.errors import PonderError
from ponder.plan.constants import GIB

TERA = 1e12

MATMUL_OF_DATASHEET = 0.8
"""A large bfloat16 product reaches this share of the datasheet: 798 of 989 TFLOP/s on an H100."""
BYTES_OF_DATASHEET = 0.9
"""A large copy reaches this share of the datasheet: 3.0 of 3.35 TB/s on an H100."""
FREE_ENOUGH = 0.95
"""A GPU with this share of its memory free counts as wholly ours, so that plans repeat."""


@dataclass(frozen=True, slots=True)
class Device:
    """A place to run: memory in bytes, speeds as measured by large products and copies.

    Args:
        flops: bfloat16 products, FLOP/s (None: unknown, and no time is predicted).
        float32_flops: float32 products (no TF32), FLOP/s.
        bandwidth: of its memory, bytes/s, reads plus writes.
        link: to the host's memory, bytes/s one way.
        host_memory: bytes of the host's memory, where known.
        source: where the figures come from.
    """

    name: str
    memory: float
    flops: float | None
    float32_flops: float | None
    bandwidth: float | None
    link: float = 20e9
    host_memory: float | None = None
    source: str = ""
    is_gpu: bool = True


def _measured(
    name: str, gib: float, tflops: float, float32: float, tbytes: float, source: str
) -> Device:
    return Device(
        name, gib * GIB, tflops * TERA, float32 * TERA, tbytes * TERA, 40e9, source=source
    )


def _datasheet(
    name: str, gib: float, tflops: float, float32: float, gbytes: float, link: float = 20e9
) -> Device:
    return Device(
        name,
        gib * GIB,
        tflops * TERA * MATMUL_OF_DATASHEET,
        float32 * TERA * MATMUL_OF_DATASHEET,
        gbytes * 1e9 * BYTES_OF_DATASHEET,
        link,
        source=f"datasheet x {MATMUL_OF_DATASHEET} (FLOP/s) and x {BYTES_OF_DATASHEET} (bytes/s)",
    )


_BENCH = "measured: bfloat16 products of 8192 x 8192, device-to-device copy"

GPUS: dict[str, Device] = {
    "h100": _measured("NVIDIA H100 80GB", 79.2, 798, 53, 3.0, _BENCH),
    "h200": _measured("NVIDIA H200", 139.0, 788, 53, 4.3, _BENCH),
    "b200": _datasheet("NVIDIA B200", 178.0, 2250, 75, 7700, 40e9),
    "a100": _datasheet("NVIDIA A100 80GB", 79.3, 312, 19.5, 2039),
    "a100-40": _datasheet("NVIDIA A100 40GB", 39.5, 312, 19.5, 1555),
    "l40s": _datasheet("NVIDIA L40S", 44.4, 362, 91.6, 864),
    "l4": _datasheet("NVIDIA L4", 22.0, 121, 30.3, 300),
    "a10": _datasheet("NVIDIA A10", 22.0, 125, 31.2, 600),
    "rtx5090": _datasheet("NVIDIA GeForce RTX 5090", 31.3, 209.5, 104.8, 1792, 40e9),
    "rtx4090": _datasheet("NVIDIA GeForce RTX 4090", 23.5, 165.2, 82.6, 1008),
    "rtx3090": _datasheet("NVIDIA GeForce RTX 3090", 23.6, 71, 35.6, 936),
}
"""By the name that ``--gpu`` takes. Memory is what CUDA reports as usable; TFLOP/s are dense,
summed in float32."""

_CALLED = {
    "H200": "h200", "H100": "h100", "B200": "b200", "A100": "a100", "L40S": "l40s", "L4": "l4",
    "A10": "a10", "5090": "rtx5090", "4090": "rtx4090", "3090": "rtx3090",
}  # fmt: skip
"""A word of the name that the driver gives -> an entry of ``GPUS``."""


def named_gpu(name: str) -> Device:
    """An entry of ``GPUS``. PonderError for a name that it does not have."""
    key = name.lower().replace("_", "-").replace(" ", "")
    if key not in GPUS:
        raise PonderError("--gpu", name, f"must be one of {', '.join(GPUS)}")
    return GPUS[key]


def this_gpu() -> Device | None:
    """The CUDA device of this machine, or None. Imports torch."""
    import psutil
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info(0)
    free += torch.cuda.memory_reserved(0)
    memory = properties.total_memory if free > FREE_ENOUGH * total else free
    return described(properties.name, memory, psutil.virtual_memory().total)


def described(name: str, memory: float, host_memory: float) -> Device:
    """A GPU by the driver's name and its memory in bytes; its speeds where we know such a GPU."""
    words = name.replace("-", " ").split()
    key = next((entry for word, entry in _CALLED.items() if word in words), None)
    if key is None:
        source = "its speed is not known to Ponder: no time is predicted"
        return Device(name, memory, None, None, None, host_memory=host_memory, source=source)
    like = GPUS[key]
    return Device(
        name,
        memory,
        like.flops,
        like.float32_flops,
        like.bandwidth,
        like.link,
        host_memory,
        f"memory as found here, speed: {like.source}",
    )


def this_cpu() -> Device:
    """The memory of this machine as a device whose speed is measured, not known (``plan.pace``)."""
    import psutil

    memory = psutil.virtual_memory().total
    source = "this machine's memory"
    return Device("CPU", memory, None, None, None, host_memory=memory, source=source, is_gpu=False)


def device_for(name: str) -> Device:
    """What a config whose ``device`` is ``name`` runs on here: the GPU if there is one, unless it
    asks for the CPU."""
    return (None if name == "cpu" else this_gpu()) or this_cpu()
