"""What the stages that sample rows will take, and how they are called, before they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ponder.config.sampling_stage import SampledConfig
from ponder.pipeline.kinds import NO_PACES, Estimate
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.held import (
    held_while_sampling,
    sampling_demand,
    sampling_seconds,
)
from ponder.pipeline.stages.timed import Spent, sampled, with_time
from ponder.pipeline.workload import Workload
from ponder.plan.beside import weights_beside
from ponder.plan.pace import Calls

_BYTES_PER_TOKEN = 6.0
"""Of a sample on the disk: compressed text, token ids and log-probabilities."""
_ROW_BYTES = 1500.0


def sampling_estimate(
    config: SampledConfig,
    model: str | None,
    to_be_made: bool = False,
    others: Mapping[str, str] | None = None,
    paces: Paces = NO_PACES,
) -> Estimate:
    """Rows, bytes, and of ``model`` (None: it is elsewhere) memory and seconds.

    On a GPU completions are taken to be as long as they may be; verifying is not counted, nor what
    ``others`` say (a judge, by what it is for): of them the weights are.
    """
    collect = config.collect
    rows = expected_rows(config)
    tokens = collect.num_problems * collect.group_size * config.sampling.max_completion_tokens
    num_bytes = rows * _ROW_BYTES + tokens * _BYTES_PER_TOKEN * collect.keep_samples
    others = others or {}
    if model is None:
        beside = sum(size for _, size in weights_beside(others, config.dtype))
        return Estimate(bytes=num_bytes, rows=rows, memory=beside or None)
    seconds, memory, on_gpu = _sampling(config, model, others)
    found = Estimate(seconds=None if others else seconds, bytes=num_bytes, rows=rows, memory=memory)
    calls = Calls.in_chunks(
        collect.num_problems,
        collect.group_size,
        config.sampling.max_batch_size,
        min(config.chunk_size(), collect.num_problems),
    )
    timed = None if on_gpu else sampled(paces, model, work_of(config), calls, to_be_made)
    if timed is None:
        return found
    spent, long, pace = timed
    found = replace(found, row_tokens=pace.prompt_tokens + long.expected)
    return found if others else with_time(found, Spent() + spent)


def work_of(config: SampledConfig) -> Workload:
    """What is done with the model that is sampled."""
    size = config.collect.group_size
    return Workload(
        dtype=config.dtype,
        threads=config.threads,
        problems=config.problems,
        template=config.template,
        sampling=config.sampling,
        prompts=min(config.chunk_size(), config.collect.num_problems),
        group_size=size,
    )


def expected_rows(config: SampledConfig) -> int:
    """Rows if every problem is solved: what later stages must be ready for."""
    collect = config.collect
    most = collect.num_problems * min(config.choose.at_most, collect.group_size)
    return min(most, collect.max_rows) if collect.max_rows else most


def _sampling(
    config: SampledConfig, model: str, others: Mapping[str, str]
) -> tuple[float | None, float, bool]:
    """Seconds (None where the device's speed is not known), bytes (all weights, keys and values),
    and whether that is on a GPU. PonderError where the models do not fit together."""
    from ponder.plan.devices import device_for

    device = device_for(config.device)
    demand = sampling_demand(work_of(config), config.engine, device.is_gpu)
    parts = held_while_sampling(model, demand, device, others)
    whole = replace(demand, prompts=config.collect.num_problems)
    seconds = sampling_seconds(model, whole, parts, device)
    return seconds, sum(parts.values()), device.is_gpu


def describe(config: SampledConfig, teacher: str = "") -> str:
    """Problems and samples."""
    problems, collect = config.problems, config.collect
    source = problems.task or problems.name or problems.hub or problems.path or "a mixture"
    who = f" from {teacher}" if teacher else ""
    return f"{collect.num_problems:,} problems x {collect.group_size} on {source}{who}"
