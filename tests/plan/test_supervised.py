"""What updates on ready-made texts are said to take: by hand, and in the right direction."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.plan.shapes import shape as named

from ponder.config.rl import LoraConfig, OptimizerConfig
from ponder.plan.devices import named_gpu, this_cpu
from ponder.plan.memory import Sizes
from ponder.plan.shape import ModelShape
from ponder.plan.supervised import Cost, Texts, update_cost

H100 = named_gpu("h100")
TEXTS = Texts(samples=128, prompt_tokens=200, mean_tokens=800.0, limit=4096)
SIZES = Sizes(16_384, 2048, "layers", 0.0)


@pytest.fixture(scope="module")
def shape() -> ModelShape:
    return named("Qwen2.5-1.5B")


def cost(shape: ModelShape, texts: Texts = TEXTS, dtype: str = "bfloat16", **more: object) -> Cost:
    half = {"dtype": dtype, "optimizer": OptimizerConfig()} | more
    return update_cost(texts, shape, H100, SIZES, **half)  # type: ignore[arg-type]


def test_a_checkpoint_by_hand(shape: ModelShape) -> None:
    """bfloat16 weights, and float32 masters and two moments; float32: weights and two moments."""
    assert cost(shape).checkpoint == shape.num_parameters * (2 + 12)
    assert cost(shape, dtype="float32").checkpoint == shape.num_parameters * (4 + 8)


def test_twice_the_samples_take_about_twice_the_time_and_no_more_memory(shape: ModelShape) -> None:
    once, twice = cost(shape), cost(shape, replace(TEXTS, samples=256))
    assert once.seconds is not None
    assert twice.seconds is not None
    assert 1.8 < twice.seconds / once.seconds < 2.1
    assert twice.memory == once.memory


def test_adapters_and_models_without_a_head_take_less(shape: ModelShape) -> None:
    whole = cost(shape)
    for less in (cost(shape, lora=LoraConfig(rank=4)), cost(shape, has_head=False)):
        assert less.seconds is not None
        assert whole.seconds is not None
        assert less.seconds < whole.seconds
        assert less.memory <= whole.memory


def test_no_time_is_said_of_a_cpu(shape: ModelShape) -> None:
    found = update_cost(TEXTS, shape, this_cpu(), SIZES, "float32", OptimizerConfig())
    assert found.seconds is None
    assert found.memory > 0
