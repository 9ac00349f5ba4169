"""The figures of a run of fine-tuning as text: for the live view, and for plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ponder.cli.sparkline import sparkline
from ponder.cli.watch import Watch

Row = Mapping[str, float]


def is_sft(row: Row) -> bool:
    """Whether a row of metrics is of fine-tuning."""
    return "sft/samples" in row


def sft_rows(watch: Watch, width: int) -> Iterator[tuple[str, str, str]]:
    """(name, value, curve or remark) of each line of the live view."""
    row = watch.row
    for key, name in (("loss/total", "loss"), ("eval/loss", "held-out loss")):
        if values := watch.curves[key]:
            yield name, f"{values[-1]:.4f} nats", sparkline(values, width, 0.0, max(values))
    yield (
        "epoch",
        f"{row['sft/epoch'] + 1:.0f}",
        f"learning rate {row['policy/learning_rate']:.2g}, "
        f"gradient norm {row['policy/grad_norm']:.2g}",
    )
    yield (
        "batch",
        f"{row['sft/samples']:,.0f} samples",
        f"{row['sft/tokens']:,.0f} tokens ({row['sft/completion_tokens']:,.0f} learnt) in "
        f"{row['sft/forward_passes']:.0f} forward passes, {row['sft/fill']:.0%} full",
    )
    if "time/step_seconds" in row:
        speed = f"{row['speed/update_tokens_per_second']:,.0f} tokens/s"
        yield "speed", f"{row['time/step_seconds']:.1f} s a step", speed


def sft_parts(row: Row) -> list[str]:
    """What a plain line says of a step."""
    heldout = [f"held-out {row['eval/loss']:.4f}"] if "eval/loss" in row else []
    return [
        f"loss {row['loss/total']:.4f}",
        *heldout,
        f"lr {row['policy/learning_rate']:.2g}",
        f"norm {row['policy/grad_norm']:.2g}",
        f"full {row['sft/fill']:.0%}",
        f"{row.get('speed/update_tokens_per_second', 0.0):,.0f} tokens/s",
    ]
