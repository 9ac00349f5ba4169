"""Small curves in one line of text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int, low: float, high: float) -> str:
    """At most ``width`` characters; more values than that are averaged in buckets.

    ``low`` is the lowest bar and ``high`` the highest; values outside are drawn at the edge.
    """
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    span = high - low
    places = [(mean - low) / span if span > 0 else 0.0 for mean in means]
    return "".join(_BARS[min(7, max(0, int(place * 8)))] for place in places)
