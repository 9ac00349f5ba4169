"""Which device a config means."""

from __future__ import annotations

import torch

from ponder.errors import PonderError


def resolve_device(device: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU.

    Raises:
        PonderError: CUDA is asked for where there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise PonderError("device", device, 'there is no CUDA device here; use "cpu" or "auto"')
    return torch.device(device)
