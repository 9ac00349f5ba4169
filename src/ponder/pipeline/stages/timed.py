"""Seconds of a stage on a CPU, from the paces that were measured: expected, and at most."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ponder.config.rl import EvalConfig, RLConfig
from ponder.pipeline.kinds import Estimate, Sources
from ponder.pipeline.paces import Paces
from ponder.pipeline.workload import Workload
from ponder.plan.demand import Demand
from ponder.plan.pace import (
    STAGE_SECONDS,
    Calls,
    Lengths,
    SamplingPace,
    TrainingPace,
    lengths,
    sampling_times,
    step_times,
    update_seconds,
)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds: expected, and those if every completion reaches its limit."""

    expected: float = STAGE_SECONDS
    most: float = STAGE_SECONDS

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.expected + other.expected, self.most + other.most)

    def __mul__(self, times: float) -> Spent:
        return Spent(self.expected * times, self.most * times)


def with_time(estimate: Estimate, spent: Spent | None) -> Estimate:
    """The estimate with these seconds; as it was where nobody knows them."""
    if spent is None:
        return estimate
    most = spent.most if spent.most > 1.01 * spent.expected else None
    return replace(estimate, seconds=spent.expected, most_seconds=most)


def is_to_be_made(sources: Sources, name: str = "model") -> bool:
    """Whether the model that a stage opens is that of a stage that is not done yet."""
    return any(source.path is None for source in sources.get(name, ()))


def sampled(
    paces: Paces, model: str, work: Workload, calls: Calls, to_be_made: bool
) -> tuple[Spent, Lengths, SamplingPace] | None:
    """What ``calls`` of the engine take, how long their completions are, and the pace itself."""
    pace = paces.sampling(model, work)
    if pace is None:
        return None
    limit = work.sampling.max_completion_tokens
    long = lengths(pace, model, limit, to_be_made)
    return _calls(pace, calls, long, limit), long, pace


def learnt(
    paces: Paces, model: str, work: Workload, tokens: Lengths, updates: float
) -> Spent | None:
    """What ``updates`` on ready-made texts take, which have ``tokens`` tokens all together."""
    pace = paces.training(model, work)
    if pace is None:
        return None
    expected, most = (update_seconds(pace, t, updates) for t in (tokens.expected, tokens.most))
    return Spent(expected, most)


def reinforced(config: RLConfig, model: str, demand: Demand, paces: Paces) -> Spent | None:
    """What all steps of RL and their evaluations take; None where nobody knows."""
    work = rl_work(config)
    sampling, training = paces.sampling(model, work), paces.training(model, work)
    if sampling is None or training is None:
        return None
    long = lengths(sampling, model, demand.limit, will_change=True)
    step = step_spent(sampling, training, demand, long)
    return (
        Spent() + step * config.steps + evaluated(config.eval, config.steps, sampling, work, long)
    )


def step_spent(
    sampling: SamplingPace, training: TrainingPace, demand: Demand, long: Lengths
) -> Spent:
    """What a step of RL takes, prompts being as long as those that were measured."""
    demand = replace(demand, prompt_tokens=sampling.prompt_tokens)
    both = (step_times(sampling, training, demand, mean) for mean in (long.expected, long.most))
    expected, most = (sum(times.values()) for times in both)
    return Spent(expected, most)


def evaluated(
    settings: EvalConfig, steps: int, pace: SamplingPace, work: Workload, long: Lengths
) -> Spent:
    """The held-out evaluations of a run: before, after, and every so many steps."""
    if not settings.num_problems:
        return Spent(0.0, 0.0)
    times = 2 + ((steps - 1) // settings.every if settings.every else 0)
    calls = Calls(settings.num_problems, settings.k, work.sampling.max_batch_size, times)
    return _calls(pace, calls, long, work.sampling.max_completion_tokens)


def rl_work(config: RLConfig) -> Workload:
    """What a run of RL does with its model."""
    batch = config.batch
    return Workload(
        dtype=config.dtype,
        threads=config.threads,
        problems=config.problems,
        template=config.template,
        sampling=config.sampling,
        prompts=batch.prompts_per_step,
        group_size=batch.group_size,
        microbatch_tokens=batch.microbatch_tokens or 4096,
        chunk_tokens=batch.logprob_chunk_tokens or 1024,
        recompute=batch.recompute == "layers",
        lora=config.lora,
        optimizer=config.optimizer,
    )


def _calls(pace: SamplingPace, calls: Calls, long: Lengths, limit: int) -> Spent:
    both = (sampling_times(pace, calls, mean, limit) for mean in (long.expected, long.most))
    expected, most = (sum(times.values()) for times in both)
    return Spent(expected, most)
