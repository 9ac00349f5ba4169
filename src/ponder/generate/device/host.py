"""Between host and device without waiting for what the device is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """A copy of ``array``, in the order of the device's work; ``array`` may change at once.

    A copy from pageable memory would wait for all work before it.
    """
    tensor = torch.from_numpy(np.array(array))
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def to_host(tensor: Tensor) -> Callable[[], NDArray[Any]]:
    """Begins to copy ``tensor`` as it is when the device has done its work so far; what is returned
    waits for that and gives the copy."""
    if tensor.device.type != "cuda":
        copy = tensor.numpy(force=True).copy()
        return lambda: copy
    home = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    home.copy_(tensor, non_blocking=True)
    there = torch.cuda.Event()  # type: ignore[no-untyped-call]
    there.record(torch.cuda.current_stream(tensor.device))

    def wait() -> NDArray[Any]:
        there.synchronize()
        return home.numpy()

    return wait
