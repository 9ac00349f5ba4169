"""The stage kind "rl" with reward models from earlier stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.config.rl import RLConfig
from ponder.errors import AlarmError
from ponder.pipeline.context import StageContext
from ponder.pipeline.runner import in_the_stage
from ponder.pipeline.stages import KINDS
from ponder.pipeline.stages.reinforcement import stage_config


def test_reward_models_are_optional_inputs_and_stand_in_the_config() -> None:
    inputs = KINDS["rl"].inputs
    assert {name: i.type for name, i in inputs.items()} == {
        "model": "model",
        "helpful": "reward_model",
        "safety": "reward_model",
    }
    assert all(i.optional for i in inputs.values())
    config = RLConfig.model_validate({"preference": {"safety": "mine", "start": 0.5}})
    given = {"model": (Path("m"),), "helpful": (Path("h"),)}
    found = stage_config(StageContext("r1", "key", config, Path(), given))
    assert found.model == "m"
    assert found.preference.model_dump() == {
        "helpful": Path("h"),
        "safety": Path("mine"),
        "start": 0.5,
        "stop": True,
    }
    alone = stage_config(StageContext("r1", "key", config, Path()))
    assert alone == config


def test_an_alarm_that_ends_a_stage_keeps_its_kind_and_names_the_stage() -> None:
    said = "step 9: the helpful reward rose"
    with pytest.raises(AlarmError, match=f"stage r1: {said}"), in_the_stage("r1"):
        raise AlarmError(said)
