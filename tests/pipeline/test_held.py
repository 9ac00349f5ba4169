"""Models that stages hold beside the one they train or sample: counted, and named in refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoConfig

from ponder.config.distil import DistilConfig
from ponder.config.reject import RejectConfig
from ponder.config.rl import EngineConfig
from ponder.errors import PonderError
from ponder.pipeline.stages import KINDS
from ponder.pipeline.stages.held import held_while_sampling, sampling_demand
from ponder.pipeline.workload import Workload
from ponder.plan.constants import GIB
from ponder.plan.devices import this_cpu

TINY = Workload("float32", prompts=2, group_size=2)


@pytest.fixture
def giant(tmp_path: Path) -> str:
    """The config of a model that no machine holds."""
    config = AutoConfig.for_model(
        "qwen2", hidden_size=32768, intermediate_size=131072, num_hidden_layers=96,
        num_attention_heads=256, num_key_value_heads=256, vocab_size=1024,
    )  # fmt: skip
    config.save_pretrained(tmp_path / "giant")
    return str(tmp_path / "giant")


def test_a_judge_counts() -> None:
    demand = sampling_demand(TINY, EngineConfig(), on_gpu=False)
    alone = held_while_sampling("base-tiny", demand, this_cpu(), {})
    judged = held_while_sampling("base-tiny", demand, this_cpu(), {"judge": "base-bilingual"})
    assert judged["judge"] == pytest.approx(1.97e6 * 4, rel=0.02)
    assert sum(judged.values()) == pytest.approx(sum(alone.values()) + judged["judge"])


def test_keys_and_values_are_what_fits() -> None:
    demand = sampling_demand(TINY, EngineConfig(memory_gib=3), on_gpu=False)
    assert held_while_sampling("base-tiny", demand, this_cpu(), {})["keys and values"] == 3 * GIB
    small = replace(this_cpu(), memory=1.5 * GIB)
    parts = held_while_sampling("base-tiny", demand, small, {})
    assert sum(parts.values()) == pytest.approx(0.97 * 1.5 * GIB)


def test_a_judge_that_does_not_fit_is_named(giant: str) -> None:
    config = RejectConfig.model_validate(
        {"problems": {"task": "products"}, "judge": {"by": "model", "model": giant}}
    )
    with pytest.raises(PonderError, match=r"judge \d{4}") as refused:
        KINDS["reject"].estimate(config, {})
    assert (refused.value.field, refused.value.value) == ("judge.model", giant)
    assert "weights" in refused.value.fix


def test_a_teacher_that_does_not_fit_is_named(giant: str) -> None:
    config = DistilConfig.model_validate(
        {"method": "on_policy", "teacher": giant, "problems": {"task": "products"}}
    )
    with pytest.raises(PonderError, match=r"teacher \d{4}"):
        KINDS["distil"].estimate(config, {})
