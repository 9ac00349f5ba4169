"""Bytes by part, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.plan.shapes import demand, shape

from ponder.generate import pages
from ponder.generate.device import scheduler
from ponder.plan import constants, memory
from ponder.plan.memory import Sizes

N = 1_543_714_304
SIZES = Sizes(microbatch_tokens=4096, chunk_tokens=1024, recompute="none", kv_gib=1.0)


def test_full_fine_tuning_in_bfloat16_with_masters() -> None:
    parts = memory.weights(shape("Qwen2.5-1.5B"), demand())
    assert parts["weights"] == 2 * N == pytest.approx(3.1e9, rel=0.01)
    assert parts["optimizer"] == 12 * N == pytest.approx(18.5e9, rel=0.01)
    assert memory.gradient_bytes(shape("Qwen2.5-1.5B"), demand()) == 4 * N


@pytest.mark.parametrize(
    ("fields", "optimizer", "gradients"),
    [
        ({"dtype": "float32"}, 8, 4),
        ({"optimizer": {"master_weights": False}}, 4, 2),
        ({"optimizer": {"offload": True}}, 0, 4),
        ({"dtype": "float32", "optimizer": {"offload": True}}, 0, 4),
    ],
)
def test_bytes_a_parameter_by_mode(fields: dict, optimizer: int, gradients: int) -> None:
    asked = demand(**fields)
    model = shape("Qwen2.5-1.5B")
    assert memory.weights(model, asked).get("optimizer", 0) == optimizer * N
    assert memory.gradient_bytes(model, asked) == gradients * N
    assert memory.host_bytes(model, asked) == (0 if optimizer else 16 * N)


def test_adapters_leave_the_weights_alone() -> None:
    model = shape("Qwen2.5-1.5B")
    asked = demand(lora={"rank": 16})
    trained = model.adapter_numbers(16, "all-linear")
    parts = memory.weights(model, asked)
    assert parts["adapters"] == 2 * trained
    assert parts["optimizer"] == 12 * trained
    small = memory.weights(model, demand(lora={"rank": 16, "quantize": "nf4"}))["weights"]
    in_matrices = model.matrix_numbers
    assert small == (N - in_matrices) * 2 + in_matrices * constants.NF4_BYTES


def test_a_reference_is_a_copy_unless_adapters_can_be_switched_off() -> None:
    model = shape("Qwen2.5-1.5B")
    kl = {"kl_coef": 0.1}
    assert memory.weights(model, demand(algorithm=kl))["reference"] == 2 * N
    assert "reference" not in memory.weights(model, demand(algorithm=kl, lora={"rank": 8}))
    assert "reference" not in memory.weights(model, demand())


def test_keys_and_values_share_the_prompt() -> None:
    model, asked = shape("Qwen2.5-1.5B"), demand(prompt_tokens=128, limit=256)
    wanted = 64 * 4 + 512 * (8 + 1)
    assert memory.wanted_kv_bytes(model, asked) == wanted * 32 * 28 * 1024
    assert memory.least_kv_bytes(model, asked) == (4 + 8 + 1) * 32 * 28 * 1024
    wanted = 32 * 4 + 256 * (8 + 1) + 128  # of prompts of those who wait
    assert memory.wanted_kv_bytes(model, replace(asked, slots=256)) == wanted * 32 * 28 * 1024


def test_pages_are_those_of_the_engine() -> None:
    assert memory.PAGE_TOKENS == pages.PAGE_TOKENS
    assert memory.AHEAD_PAGES == scheduler.AHEAD_PAGES


def test_activations_grow_with_tokens_and_recomputing_saves_most_of_them() -> None:
    model, asked = shape("Qwen2.5-1.5B"), demand()
    kept = memory.saved_bytes(model, asked, "none")
    lean = memory.saved_bytes(model, asked, "layers")
    assert lean < kept / 8
    # its input and attention's output, 1,536 numbers each, and 12 heads' normalisers
    assert lean == 28 * (2 * 2 * 1536 + 4 * 12) + 4 * 1536 * 2
    one = memory.update(model, asked, SIZES)["activations"]
    assert one == 4096 * kept


def test_a_completion_is_never_cut() -> None:
    asked = demand(prompts=4, group_size=2, prompt_tokens=100, limit=16_000)
    assert memory.microbatch_peak(asked, 4096) == 16_100
    few = demand(prompts=1, group_size=2, prompt_tokens=10, limit=20)
    assert memory.microbatch_peak(few, 4096) == 10 + 2 * 20


def test_the_cache_lives_in_the_rollout_and_gradients_in_the_update() -> None:
    model, asked = shape("Qwen2.5-1.5B"), demand()
    rollout, update = memory.rollout(model, asked, 4.0), memory.update(model, asked, SIZES)
    assert "keys and values" in rollout
    assert "keys and values" not in update
    assert "gradients" in update
    assert "gradients" not in rollout


def test_logits_exist_for_a_chunk() -> None:
    model, asked = shape("Qwen2.5-1.5B"), demand()
    head = memory.head_bytes(model, asked, 4096, 1024)
    hidden = 4096 * 1536 * (4 + 2)
    assert head == 1024 * 151936 * (4 + 2) + hidden + 151936 * 1536 * 2
    frozen = memory.head_bytes(model, demand(lora={"rank": 8}), 4096, 1024)
    assert head - frozen == 151936 * 1536 * 2
    assert memory.head_bytes(model, asked, 100, 1024) < head / 2
