"""What the stages that sample rows will take, and how they are called, before they run."""

from __future__ import annotations

from ponder.config.sampling_stage import SampledConfig
from ponder.pipeline.kinds import Estimate

_BYTES_PER_TOKEN = 6.0
"""Of a sample on the disk: compressed text, token ids and log-probabilities."""
_TYPICAL_SHARE = 0.5
"""Of the limit that a completion is long, where nobody knows."""


def sampling_estimate(config: SampledConfig, model: str | None) -> Estimate:
    """Samples, bytes, and the memory of weights, keys and values of ``model`` (None: elsewhere).

    How long it takes follows from how long completions are, which is not known before.
    """
    collect = config.collect
    samples = collect.num_problems * collect.group_size
    tokens = samples * config.sampling.max_completion_tokens * _TYPICAL_SHARE
    memory = _memory(config, model) if model is not None else None
    return Estimate(bytes=tokens * _BYTES_PER_TOKEN, rows=expected_rows(config), memory=memory)


def expected_rows(config: SampledConfig) -> int:
    """Rows if every problem is solved: what later stages must be ready for."""
    collect = config.collect
    most = collect.num_problems * min(config.choose.at_most, collect.group_size)
    return min(most, collect.max_rows) if collect.max_rows else most


def _memory(config: SampledConfig, model: str) -> float:
    from ponder.plan.read import read_shape

    shape = read_shape(model)
    width = 2 if config.dtype == "bfloat16" else 4
    return float(shape.num_parameters * width)


def describe(config: SampledConfig, teacher: str = "") -> str:
    """Problems and samples."""
    problems, collect = config.problems, config.collect
    source = problems.task or problems.name or problems.hub or problems.path or "a mixture"
    who = f" from {teacher}" if teacher else ""
    return f"{collect.num_problems:,} problems x {collect.group_size} on {source}{who}"
