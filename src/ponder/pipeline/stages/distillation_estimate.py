"""What a distillation will take, before it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ponder.config.distil import DistilConfig, rl_config
from ponder.pipeline.kinds import NO_PACES, Estimate, Sources
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.distillation_config import sampled_config, student_update
from ponder.pipeline.stages.sampling_estimate import expected_rows, sampling_estimate
from ponder.pipeline.stages.timed import (
    Spent,
    is_to_be_made,
    learnt,
    rl_work,
    step_spent,
    with_time,
)
from ponder.plan.constants import FIRST_CALL_SECONDS
from ponder.plan.demand import Demand, demand_of
from ponder.plan.devices import device_for
from ponder.plan.duration import Speed, forward_seconds
from ponder.plan.fit import Plan
from ponder.plan.pace import Lengths, lengths
from ponder.plan.plan import make_plan
from ponder.plan.read import read_shape

_TOKEN_BYTES = 6.0
"""Of a sample on the disk: compressed text, token ids and log-probabilities."""


def estimate(config: DistilConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """Rows, bytes, memory: off-policy the more of sampling and learning, on-policy both models;
    seconds: on a CPU at a measured pace, on a GPU at most, without
    the evaluations. PonderError where both models do not fit."""
    student = _expected(sources, "student", config.model)
    teacher = _expected(sources, "teacher", config.teacher)
    if config.method == "on_policy":
        return _on_policy(config, student, teacher, paces)
    return _off_policy(config, student, teacher, is_to_be_made(sources, "teacher"), paces)


def _expected(sources: Sources, name: str, otherwise: Any) -> Any:
    """A model of the shape that the stage will open."""
    for source in sources.get(name, ()):
        if source.path is not None:
            return str(source.path)
        if source.estimate.model is not None:
            return source.estimate.model
    return otherwise


def _off_policy(
    config: DistilConfig, student: str, teacher: Any, to_be_made: bool, paces: Paces
) -> Estimate:
    """The teacher is sampled, then the student learns at most all of it."""
    update = student_update(config, read_shape(student))
    settings = sampled_config(config.model_copy(update={"teacher": str(teacher)}))
    found = sampling_estimate(settings, teacher, to_be_made, paces=paces)
    rows = expected_rows(settings)
    whole = Estimate(
        bytes=(found.bytes or 0.0) + update.checkpoint * config.checkpoint.keep,
        rows=rows,
        memory=max(update.memory, found.memory or 0.0),
        model=student,
    )
    seen, learn = rows * config.off_policy.epochs, config.off_policy
    updates = -(-seen // learn.samples)
    if found.seconds is None:
        return whole
    if found.row_tokens is None:  # nothing was measured: on a GPU
        if update.seconds is None:
            return whole
        return replace(whole, seconds=found.seconds + updates * update.seconds)
    row = min(found.row_tokens, learn.max_tokens)
    most = min(found.row_tokens + config.sampling.max_completion_tokens, learn.max_tokens)
    work = rl_work(rl_config(config))
    learning = learnt(paces, student, work, Lengths(row * seen, most * seen), updates)
    sampling = Spent(found.seconds, found.most_seconds or found.seconds)
    return with_time(whole, learning and sampling + learning)


def _on_policy(config: DistilConfig, student: str, teacher: Any, paces: Paces) -> Estimate:
    """Both models are held: a step of RL whose second model scores what the student wrote."""
    from ponder.plan.beside import weights_beside

    policy = config.on_policy
    device = device_for(config.device)
    beside = weights_beside({"teacher": teacher} if teacher else {}, config.dtype)
    demand = demand_of(rl_config(config), on_gpu=device.is_gpu, beside=beside)
    demand = replace(demand, group_size=policy.group_size)
    demand = replace(demand, slots=min(config.sampling.max_batch_size, demand.num_rollouts))
    plan = make_plan(demand, read_shape(student), device)
    rows = policy.steps * demand.num_rollouts
    checkpoint = student_update(config, plan.shape).checkpoint
    num_bytes = rows * config.sampling.max_completion_tokens * _TOKEN_BYTES
    found = Estimate(
        seconds=None,
        bytes=num_bytes + checkpoint * config.checkpoint.keep,
        rows=rows,
        memory=plan.peak,
        model=student,
    )
    if device.is_gpu:
        return replace(found, seconds=_seconds_on_gpu(plan, teacher, policy.steps))
    return with_time(found, _steps(config, student, teacher, demand, paces))


def _seconds_on_gpu(plan: Plan, teacher: Any, steps: int) -> float | None:
    """Of all steps, the teacher's passes with them."""
    speed = Speed.of(plan.device, plan.demand)
    if plan.seconds is None or speed is None or not teacher:
        return None
    scoring = forward_seconds(read_shape(teacher), plan.demand, speed)
    return FIRST_CALL_SECONDS + steps * (plan.seconds + scoring)


def _steps(
    config: DistilConfig, student: str, teacher: Any, demand: Demand, paces: Paces
) -> Spent | None:
    """On a CPU: all steps, the teacher's passes with them."""
    work = rl_work(rl_config(config))
    sampling, training = paces.sampling(student, work), paces.training(student, work)
    scoring = paces.training(teacher, work) if teacher else None
    if sampling is None or training is None or scoring is None:
        return None
    long = lengths(sampling, student, demand.limit, will_change=True)
    step = step_spent(sampling, training, demand, long)
    means = (sampling.prompt_tokens + long.expected, sampling.prompt_tokens + long.most)
    expected, most = (demand.num_rollouts * mean * scoring.forward for mean in means)
    return Spent() + (step + Spent(expected, most)) * config.on_policy.steps
