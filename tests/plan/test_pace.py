"""Time at a measured pace, by hand."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest
from tests.plan.shapes import demand

from ponder.plan.pace import (
    Calls,
    SamplingPace,
    TrainingPace,
    lengths,
    sampling_times,
    step_times,
    update_seconds,
)

SAMPLING = SamplingPace(
    prompt=0.1, prompt_tokens=128, step=0.01, row=0.001, mean_tokens=50.0, longest=3.0,
    speed=900.0, threads=2, model="m",
)  # fmt: skip
TRAINING = TrainingPace(token=0.001, forward=0.0003, update=0.5, threads=2, model="m")


def test_one_call_lasts_until_its_longest_completion_has_ended() -> None:
    times = sampling_times(SAMPLING, Calls(4, 8, slots=32), mean=50, limit=200)
    assert times["prompts"] == pytest.approx(4 * 0.1)
    assert times["decoding"] == pytest.approx(150 * 0.01 + 32 * 50 * 0.001)
    short = sampling_times(SAMPLING, Calls(4, 8, slots=32), mean=50, limit=100)
    assert short["decoding"] == pytest.approx(100 * 0.01 + 32 * 50 * 0.001), "none beyond its limit"


def test_those_that_wait_for_a_slot_lengthen_it() -> None:
    times = sampling_times(SAMPLING, Calls(4, 8, slots=8), mean=50, limit=200)
    assert times["decoding"] == pytest.approx((4 * 50 + 100) * 0.01 + 32 * 50 * 0.001)


def test_chunks_cover_all_prompts() -> None:
    calls = Calls.in_chunks(10, 2, slots=8, chunk=4)
    assert (calls.times, calls.times * calls.prompts) == (3, 10)
    whole = sampling_times(SAMPLING, calls, 50, 200)
    assert whole["prompts"] == pytest.approx(1.0)


def test_a_step_of_reinforcement() -> None:
    asked = demand(prompts=4, group_size=2, limit=200, batch={"minibatches": 2})
    times = step_times(SAMPLING, TRAINING, asked, mean=50)
    tokens = 4 * 128 + 8 * 50
    assert times["log-probabilities"] == pytest.approx(tokens / 2 * 0.0003), "all but the first"
    assert times["forward and backward"] == pytest.approx(tokens * 0.001)
    assert times["optimizer"] == pytest.approx(2 * 0.5)
    assert "log-probabilities" not in step_times(
        SAMPLING, TRAINING, replace(asked, minibatches=1), 50
    )
    reference = replace(asked, minibatches=1, keeps_reference=True)
    passes = step_times(SAMPLING, TRAINING, reference, 50)["log-probabilities"]
    assert passes == pytest.approx(tokens * 0.0003)
    assert update_seconds(TRAINING, 1000, 3) == pytest.approx(1 + 1.5)


def test_a_model_that_is_there_writes_as_its_sample_did() -> None:
    assert lengths(SAMPLING, "m", 200, will_change=False).expected == 50
    assert lengths(SAMPLING, "m", 30, will_change=False).expected == 30, "not beyond the limit"


@pytest.mark.parametrize(("model", "will_change"), [("m", True), ("another", False)])
def test_others_are_taken_to_be_midway_to_the_limit(model: str, will_change: bool) -> None:
    long = lengths(SAMPLING, model, 200, will_change)
    assert (long.expected, long.most) == (pytest.approx(sqrt(50 * 200)), 200)


def test_without_a_sample_all_reach_the_limit() -> None:
    unknown = replace(SAMPLING, mean_tokens=None)
    assert lengths(unknown, "m", 200, will_change=False).expected == 200
