"""Stopped and resumed is uninterrupted, in every way to hold weights: rows and weights alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.rows import comparable
from tests.sums import write_inputs
from transformers import AutoModelForCausalLM

from ponder.config.recipes import to_toml
from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.models.tiny import make_tiny_model
from ponder.runlog import RunFolder
from ponder.train.rl.loop import train

MODES: dict[str, dict[str, Any]] = {
    "masters": {"dtype": "bfloat16"},
    "masters on the host": {"dtype": "bfloat16", "optimizer": {"offload": True}},
    "float32 on the host": {"optimizer": {"offload": True}},
    "no masters": {"dtype": "bfloat16", "optimizer": {"master_weights": False}},
    "adapters": {"lora": {"rank": 2}, "dtype": "bfloat16"},
}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    write_inputs(tmp_path)
    return {
        "model": str(tmp_path / "model"),
        "steps": 4,
        "threads": 1,
        "device": "cpu",
        "problems": {"path": str(tmp_path / "problems.jsonl")},
        "template": {"name": "plain"},
        "sampling": {"max_completion_tokens": 8},
        "reward": {"random": 1.0},
        "algorithm": {"kl_coef": 0.05},
        "batch": {"prompts_per_step": 4, "group_size": 3, "minibatches": 2},
        "eval": {"num_problems": 0},
    }


def config_of(settings: dict[str, Any], mode: str) -> RLConfig:
    if "lora" in MODES[mode]:
        pytest.importorskip("peft")
    optimizer = {"learning_rate": 3e-3, **MODES[mode].get("optimizer", {})}
    return RLConfig.model_validate({**settings, **MODES[mode], "optimizer": optimizer})


@pytest.mark.parametrize("mode", MODES)
def test_stopped_and_resumed_is_uninterrupted(
    tmp_path: Path, settings: dict[str, Any], mode: str
) -> None:
    config = config_of(settings, mode)
    whole = RunFolder.create(tmp_path / "whole", to_toml(config))
    halves = RunFolder.create(tmp_path / "halves", to_toml(config))
    last = train(config, whole).model_path
    asked = iter([False, False, True])
    assert train(config, halves, should_stop=lambda: next(asked)).steps == 2
    resumed = train(config, halves, resume=True).model_path
    assert comparable(halves.path) == comparable(whole.path)
    assert comparable(whole.path)[3]["loss/kl"] > 0
    names = {path.name for path in last.rglob("*.safetensors")}
    assert ("adapter_model.safetensors" in names) == (mode == "adapters")
    for path in last.rglob("*.safetensors"):
        assert (resumed / path.relative_to(last)).read_bytes() == path.read_bytes()
    opened = AutoModelForCausalLM.from_pretrained(last)
    assert opened.num_parameters() == make_tiny_model(0)[0].num_parameters()


def test_a_run_goes_on_in_the_way_it_began(tmp_path: Path, settings: dict[str, Any]) -> None:
    pytest.importorskip("peft")
    run = RunFolder.create(tmp_path / "run", "")
    asked = iter([False, True])
    train(config_of(settings, "masters"), run, should_stop=lambda: next(asked))
    with pytest.raises(PonderError, match=r"float32 master weights"):
        train(config_of(settings, "no masters"), run, resume=True)
    with pytest.raises(PonderError, match="no adapters here"):
        train(config_of(settings, "adapters"), run, resume=True)
    on_the_host = config_of(settings, "masters on the host")
    assert train(on_the_host, run, resume=True).finished, "where masters live may change"
