"""Seconds by part, by hand at full speed, and the laws that the estimates must obey."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.plan.shapes import demand, shape

from ponder.plan import duration
from ponder.plan.devices import GPUS
from ponder.plan.duration import Speed
from ponder.plan.memory import Sizes

H100 = GPUS["h100"]
SIZES = Sizes(4096, 2048, "none", kv_gib=8.0)
MODEL = shape("Qwen2.5-1.5B")


def speed(**fields: object) -> Speed:
    found = Speed.of(H100, demand(**fields))
    assert found is not None
    return found


def test_floor_of_a_decode_step_is_that_of_the_bench() -> None:
    """shared/bench: about 3 to 3.5 ms a step of 512 sequences (bytes alone; here FLOPs too)."""
    asked = demand(prompt_tokens=128, limit=512)
    step = duration.decode_seconds(MODEL, asked, 16.0, speed().floor()) / 512
    products = 512 * 2 * 1_543_500_000 / 798e12
    cache = 512 * (128 + 256) * 28 * 1024 / 3.0e12
    assert step == pytest.approx(products + cache, rel=0.01)
    assert 0.003 < step < 0.004


def test_a_decode_step_is_what_the_prototype_measured() -> None:
    asked = demand(prompt_tokens=128, limit=512)  # mean context 384: 6.5 ms
    step = duration.decode_seconds(MODEL, asked, 16.0, speed()) / 512
    assert step == pytest.approx(6.5e-3, rel=0.2)


def test_small_batches_are_bound_by_the_weights() -> None:
    asked = demand(prompts=1, group_size=2, prompt_tokens=1, limit=64)
    step = duration.decode_seconds(MODEL, asked, 16.0, speed().floor()) / 64
    assert step == pytest.approx(2 * 1_543_714_304 / 3.0e12, rel=0.01)


def test_training_flops() -> None:
    asked = demand(prompt_tokens=128, limit=256)
    seconds = duration.train_seconds(MODEL, asked, SIZES, speed().floor())
    layers = 1_310_000_000  # in matrices of the layers
    products = 6 * layers * 64 * (128 + 8 * 256) + 8 * 233_373_696 * 512 * 256
    assert seconds == pytest.approx(products / 798e12, rel=0.03)  # and 2 % of attention


def test_recomputing_costs_a_forward_pass_of_the_layers() -> None:
    asked = demand()
    plain = duration.train_seconds(MODEL, asked, SIZES, speed().floor())
    again = duration.train_seconds(
        MODEL, asked, replace(SIZES, recompute="layers"), speed().floor()
    )
    tokens = 64 * (128 + 8 * 256)
    assert again - plain == pytest.approx(tokens * MODEL.layer_flops / 798e12)


def test_fewer_sequences_at_once_take_more_steps() -> None:
    asked = demand(limit=4096)
    assert duration.slots_at_once(MODEL, asked, 1000.0) == 512
    few = duration.slots_at_once(MODEL, asked, 10.0)
    assert few == int(10 * 2**30 / (28 * 1024) / (4096 + 16))
    slow = duration.decode_seconds(MODEL, asked, 10.0, speed())
    assert slow > duration.decode_seconds(MODEL, asked, 1000.0, speed())


def test_of_experts_only_the_chosen_are_read() -> None:
    mixture = shape("Qwen3-30B-A3B")
    one = demand(prompts=1, group_size=2, prompt_tokens=1, limit=8)
    bytes_read = duration._weights_read(mixture, one, rows=1)
    assert bytes_read == pytest.approx(2 * 3.04e9, rel=0.03)  # active ones, no embedding


def test_extra_forward_passes() -> None:
    one = duration.step_times(MODEL, demand(), SIZES, speed())
    assert "log-probabilities" not in one
    both = demand(batch={"minibatches": 4}, algorithm={"kl_coef": 0.1})
    times = duration.step_times(MODEL, both, SIZES, speed())
    passes = duration.forward_seconds(MODEL, both, speed())
    assert times["log-probabilities"] == pytest.approx(2 * passes)
    assert times["optimizer"] == pytest.approx(4 * one["optimizer"])


def test_nothing_is_faster_than_the_floor() -> None:
    for name in ("Qwen2.5-1.5B", "Qwen3-30B-A3B", "DeepSeek-V3"):
        for fields in ({}, {"lora": {"rank": 8}}, {"optimizer": {"offload": True}}):
            asked = demand(**fields)
            found = Speed.of(H100, asked)
            assert found is not None
            real = duration.step_times(shape(name), asked, SIZES, found)
            floor = duration.step_times(shape(name), asked, SIZES, found.floor())
            assert all(real[part] >= floor[part] for part in real)


def test_no_speed_no_time() -> None:
    assert Speed.of(replace(H100, flops=None), demand()) is None
