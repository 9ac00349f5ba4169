"""The kind "pretrain": a small base model from scratch."""

from __future__ import annotations

from collections.abc import Mapping

from ponder.config.pretrain import PretrainConfig
from ponder.config.recipes import to_toml
from ponder.pipeline.context import StageContext, Stopped
from ponder.pipeline.kinds import CHECKPOINTS, NO_PACES, Estimate, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.timed import Spent, with_time
from ponder.plan.pace import update_seconds
from ponder.runlog.checkpoint import checkpoint_step

_CHECKPOINT_BYTES = 2 * (2 + 12)
"""Of a parameter: two checkpoints, each with bfloat16 weights and float32 ones with moments."""


def run(context: StageContext) -> None:
    """Pretrain in the stage's folder, from its newest checkpoint if there is one."""
    from ponder.train.pretrain.loop import pretrain

    config = context.config
    assert isinstance(config, PretrainConfig)
    folder, _ = context.open_run(to_toml(config))

    def report(step: int, metrics: Mapping[str, float]) -> None:
        context.view.progress(step, config.steps, told(metrics))

    with folder.lock():
        latest = pretrain(config, folder, report, context.should_stop)
    if checkpoint_step(latest) < config.steps:
        raise Stopped(context.name)


def told(metrics: Mapping[str, float]) -> str:
    """Metrics as one line; counts in full."""
    return "  ".join(
        f"{key} {value:,.0f}" if abs(value) >= 1e4 else f"{key} {value:.4g}"
        for key, value in metrics.items()
    )


def estimate(config: PretrainConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """The size, and on a CPU seconds at a measured pace; making the corpus is not counted."""
    from ponder.plan.devices import device_for

    shape = config.architecture
    head = shape.hidden_size // shape.num_heads
    attention = shape.hidden_size * head * (2 * shape.num_heads + 2 * shape.num_kv_heads)
    layer = attention + 3 * shape.hidden_size * shape.intermediate_size
    parameters = shape.num_layers * layer + shape.vocab_size * shape.hidden_size
    rows = config.steps * config.batch_tokens // config.sequence_length
    found = Estimate(bytes=parameters * _CHECKPOINT_BYTES, rows=rows, memory=16.0 * parameters)
    on_gpu = device_for(config.device).is_gpu
    pace = None if on_gpu else paces.pretraining(shape)
    if pace is None:
        return found
    seconds = update_seconds(pace, config.steps * config.batch_tokens, config.steps)
    return with_time(found, Spent() + Spent(seconds, seconds))


def describe(config: PretrainConfig) -> str:
    """Updates and tokens."""
    return f"{config.steps} updates of {config.batch_tokens:,} tokens"


PRETRAIN = StageKind(
    config_class=PretrainConfig,
    inputs={},
    outputs={"model": Output("model", CHECKPOINTS)},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(
        "ponder.corpus",
        "ponder.models",
        "ponder.pipeline.stages.pretraining",
        "ponder.problems.fingerprint",
        "ponder.text",
        "ponder.train.optimizer",
        "ponder.train.pretrain",
    ),
)
