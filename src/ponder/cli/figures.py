"""The figures of a run as text: for the live view, for plain lines and for the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ponder.cli.console import clock_time
from ponder.cli.reward_figures import is_reward_model, reward_parts, reward_rows
from ponder.cli.sft_figures import is_sft, sft_parts, sft_rows
from ponder.cli.sparkline import sparkline
from ponder.cli.watch import Watch

Row = Mapping[str, float]


def figure_rows(watch: Watch, curve_width: int) -> Iterator[tuple[str, str, str]]:
    """(name, value, curve or remark) of each line of the live view."""
    yield from _held_out(watch)
    if is_sft(watch.row):
        yield from sft_rows(watch, curve_width)
    elif is_reward_model(watch.row):
        yield from reward_rows(watch, curve_width)
    elif watch.row:
        yield from _curves(watch, curve_width)
        yield from _remarks(watch.row)


def _held_out(watch: Watch) -> Iterator[tuple[str, str, str]]:
    if not watch.evals:
        return
    (first, before), *_ = sorted(watch.evals.items())
    *_, (last, now) = sorted(watch.evals.items())
    start = percent(before.pass_at_1, before.stderr)
    if last == first:
        yield "held-out pass@1", start, "before training"
    else:
        remark = f"step {last}; before: {start}"
        yield "held-out pass@1", percent(now.pass_at_1, now.stderr), remark


def _curves(watch: Watch, width: int) -> Iterator[tuple[str, str, str]]:
    def curve(key: str, high: float | None = None) -> str:
        values = watch.curves[key]
        low = min(0.0, min(values, default=0.0))
        return sparkline(values, width, low, high or max(values, default=0.0))

    row = watch.row
    if "reward/accuracy" in row:
        yield "accuracy", f"{row['reward/accuracy']:.1%}", curve("reward/accuracy", 1.0)
    if "reward/mean" in row:
        yield "reward", f"{row['reward/mean']:.3f}", curve("reward/mean")
    if "distil/reverse_kl" in row:
        kl = f"{row['distil/reverse_kl']:.4f} nats"
        yield "KL to the teacher", kl, curve("distil/reverse_kl")
    if "rollout/mean_tokens" in row:
        tokens = f"{row['rollout/mean_tokens']:.1f} tokens"
        yield "length", tokens, curve("rollout/mean_tokens")
    words = "text/reflective_words_per_completion"
    if words in row:
        yield "reflective words", f"{row[words]:.2f} each", curve(words)


def _remarks(row: Row) -> Iterator[tuple[str, str, str]]:
    yield (
        "groups",
        f"{row.get('rollout/zero_variance_fraction', 0.0):.0%} without signal",
        f"all right {row.get('rollout/solve_all_fraction', 0.0):.0%}, "
        f"none right {row.get('rollout/solve_none_fraction', 0.0):.0%}, "
        f"cut off {row.get('rollout/truncated_fraction', 0.0):.0%}",
    )
    yield (
        "entropy",
        f"{row.get('rollout/entropy', 0.0):.3f} nats",
        f"gradient norm {row.get('policy/grad_norm', 0.0):.2g}, "
        f"KL {row.get('loss/kl', 0.0):.1g}, "
        f"mismatch {row.get('policy/mismatch_max', 0.0):.0e}",
    )
    if "time/step_seconds" in row:
        yield (
            "speed",
            f"{row['time/step_seconds']:.1f} s a step",
            f"{row.get('speed/rollout_tokens_per_second', 0.0):,.0f} tokens/s sampling, "
            f"{row.get('speed/update_tokens_per_second', 0.0):,.0f} learning",
        )


def step_line(watch: Watch) -> str:
    """A step in one plain line, for a log."""
    row, steps = watch.row, watch.info.steps if watch.info else "?"
    parts = [f"{watch.num_done}/{steps} steps", *_parts(row)]
    if "time/step_seconds" in row:
        parts.append(f"{row['time/step_seconds']:.1f} s")
    if watch.eta is not None:
        parts.append(f"ETA {clock_time(watch.eta)}")
    return "  ".join(parts)


def _parts(row: Row) -> list[str]:
    if is_sft(row):
        return sft_parts(row)
    return reward_parts(row) if is_reward_model(row) else _step_parts(row)


def _step_parts(row: Row) -> list[str]:
    near = f"KL to the teacher {row['distil/reverse_kl']:.4f}" if "distil/reverse_kl" in row else ""
    return [
        *filter(None, [near]),
        f"accuracy {row.get('reward/accuracy', 0.0):.3f}",
        f"reward {row.get('reward/mean', 0.0):.3f}",
        f"tokens {row.get('rollout/mean_tokens', 0.0):.1f}",
        f"reflective {row.get('text/reflective_words_per_completion', 0.0):.2f}",
        f"entropy {row.get('rollout/entropy', 0.0):.3f}",
    ]


def percent(value: float, stderr: float | None) -> str:
    """A share with its standard error: ``15.2 % ± 1.1``; without it where there is none."""
    shown = f"{value:.1%}".replace("%", " %")
    return shown if stderr is None or math.isnan(stderr) else f"{shown} ± {100 * stderr:.1f}"


def result_rows(figures: Mapping[str, Any]) -> dict[str, str]:
    """The figures of an evaluation (see ``EvalResult.figures``) by the names people read."""
    rows = {"pass@1": percent(figures["pass@1"], figures["stderr"])}
    rows |= {
        key: percent(value, None)
        for key, value in figures.items()
        if key.startswith(("pass@", "cons@")) and key not in ("pass@1", "cons@1")
    }
    rows["completion length"] = f"{figures['mean_tokens']:.1f} tokens"
    rows["strict format"] = percent(figures["format"], None)
    words = figures["reflective_words_per_completion"]
    rows["reflective words"] = f"{words:.2f} a completion"
    rows["cut off"] = percent(figures["truncated_fraction"], None)
    if figures["num_error"]:
        rows["verifier errors"] = str(figures["num_error"])
    return rows


def style_rows(by_style: Mapping[str, Mapping[str, float | None]]) -> dict[str, str]:
    """Share of each way of thinking and how often it is right: ``checks: 10 %, 57 % right``."""
    rows = {}
    for style, found in by_style.items():
        right = "" if found["accuracy"] is None else f", {found['accuracy']:.0%} right"
        rows[f"  {style}"] = f"{found['share'] or 0:.0%}{right}".replace("%", " %")
    return rows
