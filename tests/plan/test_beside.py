"""Models that share the device: counted, and named where they don't fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.plan.shapes import config, demand, shape
from transformers import AutoConfig

from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.plan import make_plan, memory
from ponder.plan.beside import check_fits, reward_models, weights_beside
from ponder.plan.constants import GIB
from ponder.plan.devices import GPUS

H100 = GPUS["h100"]


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """A folder with nothing but a config."""
    asked = AutoConfig.for_model(
        "qwen2", hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, vocab_size=1000,
    )  # fmt: skip
    asked.save_pretrained(tmp_path / "judge")
    return tmp_path / "judge"


def test_reward_models_are_held_in_both_phases() -> None:
    beside = (("reward model helpful", 3.0 * GIB), ("reward model safety", 2.0 * GIB))
    with_them = make_plan(replace(demand(), beside=beside), shape("Qwen2.5-1.5B"), H100)
    without = make_plan(demand(), shape("Qwen2.5-1.5B"), H100)
    for held, alone in ((with_them.rollout, without.rollout), (with_them.update, without.update)):
        assert held["reward model helpful"] == 3 * GIB
        assert "reward model helpful" not in alone
    loading = memory.loading(shape("Qwen2.5-1.5B"), replace(demand(), beside=beside))
    assert loading["reward model safety"] == 2 * GIB


def test_a_refusal_names_them() -> None:
    beside = (("reward model helpful", 70.0 * GIB), ("reward model safety", 0.5 * GIB))
    with pytest.raises(PonderError) as refused:
        make_plan(replace(demand(), beside=beside), shape("Qwen2.5-1.5B"), H100)
    assert "reward model helpful 70.0" in refused.value.fix
    assert "reward model safety 0.5" in refused.value.fix, "small ones, too"


def test_they_are_read_from_the_config(judge: Path) -> None:
    asked = RLConfig.model_validate({"preference": {"helpful": judge}, **_mixture()})
    assert reward_models(asked) == {"reward model helpful": str(judge)}
    assert reward_models(config()) == {}
    ((part, size),) = weights_beside(reward_models(asked), "bfloat16")
    assert part == "reward model helpful"
    assert size == weights_beside(reward_models(asked), "float32")[0][1] / 2
    assert size > 2 * 1000 * 64


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(PonderError) as refused:
        weights_beside({"judge": str(tmp_path / "nothing")}, "float32")
    assert refused.value.field == "judge"


def test_what_cannot_be_held_at_once_is_refused() -> None:
    check_fits({"weights": 40 * GIB, "judge": 30 * GIB}, H100, "judge.model", "m")
    with pytest.raises(PonderError) as refused:
        check_fits({"weights": 40 * GIB, "judge": 50 * GIB}, H100, "judge.model", "m")
    assert refused.value.field == "judge.model"
    assert "judge 50.0" in refused.value.fix


def _mixture() -> dict[str, object]:
    return {
        "problems": {
            "mixture": [
                {"task": "products"},
                {"task": "requests", "verifier": "helpful"},
            ]
        }
    }
