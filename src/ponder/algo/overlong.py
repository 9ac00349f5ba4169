"""DAPO's soft overlong punishment."""

from __future__ import annotations


def soft_overlong(num_tokens: int, limit: int, buffer: int) -> float:
    """A reward part in [-1, 0]: 0 up to ``limit - buffer`` tokens, falling to -1 at ``limit``.

    Args:
        num_tokens: length of the completion.
        limit: the generation budget in tokens (DAPO: 20,480).
        buffer: tokens before it in which the punishment grows (DAPO: 4,096).

    Source: DAPO 2503.14476 eq. 13.
    """
    start = limit - buffer
    if num_tokens <= start:
        return 0.0
    if num_tokens >= limit:
        return -1.0
    return (start - num_tokens) / buffer
