"""Seeds of everything random: counted, never drawn, so that a resumed run draws the same."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for the place that ``names`` says, e.g. (seed, "rollout", step)."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
