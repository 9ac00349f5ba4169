"""What `plan` and `--dry-run` say about times on a CPU: what was measured, and what was not."""

from __future__ import annotations

from ponder.pipeline.paces import MeasuredPaces, busy
from ponder.plan.pace import SamplingPace, lengths


def pace_lines(paces: MeasuredPaces | None) -> list[str]:
    """Lines of plain text; ``paces``: None where nothing was to be measured."""
    if paces is None:
        return ["nothing was measured (--no-measure): on a CPU no time is expected"]
    lines = []
    for model, sampling, training in paces.results():
        told = [] if sampling is None else [f"samples {sampling.speed:,.0f}"]
        told += [] if training is None else [f"learns {1 / training.token:,.0f}"]
        lines.append(f"measured: {model} {' and '.join(told)} tokens a second{_of(sampling)}")
    lines += [_about_lengths(s, paces) for _, s, _ in paces.results() if s is not None]
    lines += [f"no time with {model}: {why}" for model, why in paces.refused.items()]
    if paces.found and (other := busy()):
        lines.append(other)
    return lines


def _of(pace: SamplingPace | None) -> str:
    threads = "" if pace is None else f" on {pace.threads} threads"
    return threads if pace is None or pace.threads > 1 else " on one thread"


def _about_lengths(pace: SamplingPace, paces: MeasuredPaces) -> str:
    limit = paces.limits[pace.model]
    if pace.mean_tokens is None:
        return f"how long completions of {pace.model} are was not found out: all reach their limit"
    later = lengths(pace, pace.model, limit, will_change=True).expected
    return (
        f"completions: {pace.mean_tokens:.0f} tokens of {pace.model} now; {later:.0f} while and "
        f"after it learns (assumed: the geometric mean of that and the limit); at most {limit:,}"
    )
