"""The kind "rl": GRPO, from the model of an earlier stage or from the one that the config names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ponder.config.recipes import to_toml
from ponder.config.rl import RLConfig
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import CHECKPOINTS, NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.models import MODEL_CODE, expected_model, local_model
from ponder.pipeline.stages.timed import reinforced, with_time
from ponder.pipeline.words import count_text
from ponder.runlog import CheckpointStore
from ponder.runlog.checkpoint import checkpoint_step
from ponder.types import PREFERENCES

_MOMENTS = 8
"""Bytes of a trained parameter in a checkpoint beside its weight: AdamW's two moments."""
_MASTER = 4
"""And its float32 copy, where the weight is bfloat16."""


def run(context: StageContext) -> None:
    """Train in the stage's folder, from its newest checkpoint if there is one."""
    from ponder.train.rl.loop import train

    config = stage_config(context)
    folder, resume = context.open_run(to_toml(config))
    latest = CheckpointStore(folder.checkpoints_dir).latest()
    if folder.summary_path.exists() and latest and checkpoint_step(latest) >= config.steps:
        return
    context.train(train, config, folder, resume)


def stage_config(context: StageContext) -> RLConfig:
    """The config with the model and the reward models of the inputs, where there are any."""
    config = context.config
    assert isinstance(config, RLConfig)
    model = context.optional("model")
    judges = {name: path for name in PREFERENCES if (path := context.optional(name))}
    preference = config.preference.model_copy(update=judges)
    update = {"preference": preference} | ({"model": str(model)} if model else {})
    return config.model_copy(update=update)


def estimate(config: RLConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """By ``ponder.plan``: memory, reward models with it, and time; on a CPU at a measured pace."""
    from ponder.plan.beside import weights_beside
    from ponder.plan.constants import FIRST_CALL_SECONDS
    from ponder.plan.demand import demand_of
    from ponder.plan.devices import device_for
    from ponder.plan.memory import trained_numbers
    from ponder.plan.plan import make_plan
    from ponder.plan.read import read_shape

    model = expected_model(sources, config.model)
    shape = read_shape(model)
    device = device_for(config.device)
    beside = weights_beside(_reward_models(config, sources), config.dtype)
    plan = make_plan(demand_of(config, on_gpu=device.is_gpu, beside=beside), shape, device)
    state = _MOMENTS + _MASTER * plan.demand.has_masters
    checkpoint = shape.num_parameters * plan.demand.width
    checkpoint += trained_numbers(shape, plan.demand) * state
    found = Estimate(
        seconds=plan.seconds and FIRST_CALL_SECONDS + plan.seconds * config.steps,
        bytes=checkpoint * config.checkpoint.keep,
        rows=plan.demand.num_rollouts * config.steps,
        memory=plan.peak,
        model=model,
    )
    if device.is_gpu:
        return found
    return with_time(found, reinforced(config, model, plan.demand, paces))


def _reward_models(config: RLConfig, sources: Sources) -> dict[str, str]:
    """Those of the inputs, or the ones that the config names, as ``weights_beside`` takes them."""
    from ponder.plan.beside import reward_model_part, reward_models

    found = reward_models(config)
    for name in PREFERENCES:
        for source in sources.get(name, ()):
            if (spec := source.path or source.estimate.model) is not None:
                found[reward_model_part(name)] = str(spec)
    return found


def describe(config: RLConfig) -> str:
    """Steps, rollouts and problems."""
    problems = config.problems
    source = problems.task or problems.name or problems.hub or problems.path or "a mixture"
    batch = config.batch
    size = f"{batch.prompts_per_step} x {batch.group_size}"
    return f"{count_text(config.steps, 'step')} of {size} on {source}"


def files(config: RLConfig) -> Mapping[str, Path]:
    """The model, where it is on this machine."""
    return local_model(config.model)


RL = StageKind(
    config_class=RLConfig,
    inputs={
        "model": Input("model", optional=True),
        **{name: Input("reward_model", optional=True) for name in PREFERENCES},
    },
    outputs={"model": Output("model", CHECKPOINTS)},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(*MODEL_CODE, "ponder.train.*", "ponder.train.rl", "ponder.pipeline.stages.reinforcement"),
    files=files,
    unhashed=("name", "out", "log", "checkpoint", "judge.cache"),
)
