"""The figures of a reward model's training as text: for the live view, and for plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ponder.cli.sparkline import sparkline
from ponder.cli.watch import Watch

Row = Mapping[str, float]


def is_reward_model(row: Row) -> bool:
    """Whether a row of metrics is of a reward model's training."""
    return "preference/examples" in row


def reward_rows(watch: Watch, width: int) -> Iterator[tuple[str, str, str]]:
    """(name, value, curve or remark) of each line of the live view."""
    row = watch.row
    right = watch.curves["preference/accuracy"]
    yield "accuracy", f"{right[-1]:.1%} of the batch", sparkline(right, width, 0.0, 1.0)
    losses = watch.curves["loss/total"]
    yield "loss", f"{losses[-1]:.4f} nats", sparkline(losses, width, 0.0, max(losses))
    yield (
        "batch",
        f"{row['preference/examples']:,.0f} examples",
        f"{row['preference/tokens']:,.0f} tokens, learning rate {row['policy/learning_rate']:.2g}, "
        f"gradient norm {row['policy/grad_norm']:.2g}",
    )
    if "time/step_seconds" in row:
        speed = f"{row['speed/update_tokens_per_second']:,.0f} tokens/s"
        yield "speed", f"{row['time/step_seconds']:.1f} s a step", speed


def reward_parts(row: Row) -> list[str]:
    """What a plain line says of a step."""
    heldout = [f"held-out {row['eval/accuracy']:.1%}"] if "eval/accuracy" in row else []
    return [
        f"loss {row['loss/total']:.4f}",
        f"accuracy {row['preference/accuracy']:.1%}",
        *heldout,
        f"lr {row['policy/learning_rate']:.2g}",
        f"norm {row['policy/grad_norm']:.2g}",
        f"{row.get('speed/update_tokens_per_second', 0.0):,.0f} tokens/s",
    ]
