"""The kind "reward_model": pairwise helpfulness or pointwise safety, from files of preferences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ponder.config.recipes import to_toml
from ponder.config.reward_model import RewardModelConfig
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import CHECKPOINTS, NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.models import MODEL_CODE, expected_model, local_model
from ponder.pipeline.stages.texts import amount_of
from ponder.pipeline.stages.timed import Spent, learnt, with_time
from ponder.pipeline.workload import Workload
from ponder.plan.pace import Lengths

_ANSWER_SHARE = 0.5
"""Of a row's tokens, prompt and all, where final answers alone are scored. Assumed."""


def run(context: StageContext) -> None:
    """Train in the stage's folder, from its newest checkpoint if there is one."""
    from ponder.train.reward.loop import train_reward_model

    config = stage_config(context)
    folder, resume = context.open_run(to_toml(config))
    if not folder.summary_path.exists():
        context.train(train_reward_model, config, folder, resume)


def stage_config(context: StageContext) -> RewardModelConfig:
    """The config with the model and the preferences of the inputs."""
    assert isinstance(context.config, RewardModelConfig)
    _check_unnamed(context.config)
    data = context.config.data.model_copy(update={"path": context.input("data")})
    model = context.optional("model")
    update = {"data": data, "model": str(model) if model else context.config.model}
    return context.config.model_copy(update=update)


def _check_unnamed(config: RewardModelConfig) -> None:
    if config.data.path is not None:
        fix = 'a stage learns its input: inputs = {data = "STAGE"}; leave it out'
        raise PonderError("data.path", str(config.data.path), fix)


def estimate(config: RewardModelConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """Rows are counted where they are there; on a CPU seconds are at a measured pace."""
    from ponder.plan.devices import device_for
    from ponder.plan.memory import Sizes
    from ponder.plan.read import read_shape
    from ponder.plan.supervised import Texts, update_cost

    _check_unnamed(config)
    shape = read_shape(expected_model(sources, config.model))
    device = device_for(config.device)
    amount = amount_of(sources.get("data", ()))
    per_prompt = 2 if config.objective == "pairwise" else 1
    tokens = amount.tokens(config.data.max_tokens * per_prompt)
    part = tokens // (per_prompt + 1)
    cost = update_cost(
        Texts(config.batch_size, part, part, config.data.max_tokens, per_prompt),
        shape,
        device,
        Sizes(config.microbatch_tokens, 1024, "layers" if config.recompute else "none", 0.0),
        config.dtype,
        config.optimizer,
        has_head=False,
    )
    seconds = None
    if cost.seconds is not None and amount.rows is not None and amount.line_bytes is not None:
        seconds = cost.seconds * config.epochs * -(-amount.rows // config.batch_size)
    found = Estimate(
        seconds=seconds,
        bytes=cost.checkpoint * config.checkpoint.keep,
        rows=None if amount.rows is None else amount.rows * config.epochs,
        memory=cost.memory,
        model=expected_model(sources, config.model),
    )
    if device.is_gpu or amount.rows is None:
        return found
    seen = amount.rows * config.epochs * (1 - config.data.heldout_share)
    expected = seen * tokens * (_ANSWER_SHARE if config.scored_part == "answer" else 1)
    limit = (
        expected if amount.line_bytes is not None else seen * per_prompt * config.data.max_tokens
    )
    work = Workload(
        config.dtype,
        config.threads,
        microbatch_tokens=config.microbatch_tokens,
        recompute=config.recompute,
        optimizer=config.optimizer,
    )
    updates = -(-seen // config.batch_size)
    spent = learnt(paces, str(found.model), work, Lengths(expected, limit), updates)
    return with_time(found, spent and Spent() + spent)


def describe(config: RewardModelConfig) -> str:
    """The objective, what is looked at, and the size of an update."""
    looks = "final answers" if config.scored_part == "answer" else "whole completions"
    return f"{config.objective}, on {looks}; updates of {config.batch_size}"


def files(config: RewardModelConfig) -> Mapping[str, Path]:
    """The model, where it is on this machine."""
    return local_model(config.model)


REWARD_MODEL = StageKind(
    config_class=RewardModelConfig,
    inputs={"data": Input("rows"), "model": Input("model", optional=True)},
    outputs={"reward_model": Output("reward_model", CHECKPOINTS)},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(
        *MODEL_CODE,
        "ponder.train.*",
        "ponder.train.reward",
        "ponder.pipeline.stages.reward_modelling",
    ),
    files=files,
)
