"""From the host to the device without waiting for what the device is doing."""

from __future__ import annotations

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
