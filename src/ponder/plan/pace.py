"""How long work takes at a measured pace: on a CPU nothing is predicted from datasheets.

``pipeline.paces`` measures, in a few seconds, what a decode step, a prompt, a trained token and an
update take of one model on this machine; the sums here are what stages make of that. Verifying is
not counted: it goes on beside the sampling.

How long completions will be is known only of a model that is there: a sample of it is measured. RL
makes them longer, at most as long as their limit; what is said for a model that is yet to be made
is the geometric mean of both, and what it would be if every completion reached the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from ponder.plan.demand import Demand
from ponder.plan.duration import Times

LONGEST = 3.0
"""The longest completion of a batch over their mean, where no sample says better. Assumed."""
STAGE_SECONDS = 1.5
"""Opening a model and workers, writing what is made: of a stage. Measured on two cores."""


@dataclass(frozen=True, slots=True)
class SamplingPace:
    """Seconds of the engine's parts, and what a sample of the model looked like.

    Args:
        prompt: of a prompt of ``prompt_tokens`` tokens.
        step: of a decode step, however many sequences are in it.
        row: of each sequence in it.
        mean_tokens: of a completion; None where too few of the sample ended, or there was none.
        longest: the longest completion over their mean.
        speed: completion tokens a second of the sample.
        threads: of torch.
        model: whose sample it was; others of its shape run as fast, and write otherwise.
    """

    prompt: float
    prompt_tokens: int
    step: float
    row: float
    mean_tokens: float | None
    longest: float
    speed: float
    threads: int
    model: str


@dataclass(frozen=True, slots=True)
class TrainingPace:
    """Seconds of a token forward and backward, of one forward alone, and of an optimizer update."""

    token: float
    forward: float
    update: float
    threads: int
    model: str


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens of a completion: what is expected, and the most that is allowed."""

    expected: float
    most: float


def lengths(pace: SamplingPace, model: str, limit: int, will_change: bool) -> Lengths:
    """Of what ``model`` writes. ``will_change``: it is yet to be made, or is trained meanwhile."""
    if pace.mean_tokens is None:
        return Lengths(limit, limit)
    now = min(pace.mean_tokens, limit)
    if will_change or model != pace.model:
        return Lengths(sqrt(now * limit), limit)
    return Lengths(now, limit)


@dataclass(frozen=True, slots=True)
class Calls:
    """``times`` calls of the engine: each ``prompts`` x ``group_size``, so many at once."""

    prompts: float
    group_size: int
    slots: int
    times: float = 1.0

    @classmethod
    def in_chunks(cls, prompts: int, group_size: int, slots: int, chunk: int) -> Calls:
        """All ``prompts``, at most ``chunk`` of them in one call."""
        times = ceil(prompts / chunk)
        return cls(prompts / times, group_size, slots, times)


def sampling_times(pace: SamplingPace, calls: Calls, mean: float, limit: int) -> Times:
    """Seconds of prompts and of decoding, all calls together.

    A call decodes until its longest completion has ended; where they wait for a slot, others run
    meanwhile.
    """
    completions = calls.prompts * calls.group_size
    longest = min(float(limit), pace.longest * mean)
    steps = mean * max(1.0, completions / calls.slots) + longest - mean
    decoding = steps * pace.step + completions * mean * pace.row
    return {
        "prompts": calls.times * calls.prompts * pace.prompt,
        "decoding": calls.times * decoding,
    }


def step_times(
    sampling: SamplingPace, training: TrainingPace, demand: Demand, mean: float
) -> Times:
    """Seconds of each part of a step of RL whose completions have ``mean`` tokens.

    Log-probabilities at rollout time are computed of all minibatches but the first, the
    reference's of all.
    """
    calls = Calls(demand.prompts, demand.group_size, demand.slots)
    times = sampling_times(sampling, calls, mean, demand.limit)
    tokens = demand.prompts * demand.prompt_tokens + demand.num_rollouts * mean
    passes = 1 - 1 / demand.minibatches + demand.keeps_reference
    if passes:
        times["log-probabilities"] = passes * tokens * training.forward
    times["forward and backward"] = tokens * training.token
    times["optimizer"] = demand.minibatches * training.update
    return times


def update_seconds(training: TrainingPace, tokens: float, updates: float) -> float:
    """Of ``updates`` on ready-made texts that have ``tokens`` tokens, all together."""
    return tokens * training.token + updates * training.update
