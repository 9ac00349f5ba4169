"""Measuring a model here: once a shape, nothing of it changed, refused where it is hopeless."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.plan.shapes import shape

from ponder.config.pretrain import ArchitectureConfig
from ponder.config.rl import LoraConfig, ProblemsConfig, SamplingConfig
from ponder.models.load import load_model, save_model
from ponder.models.tiny import make_tiny_model
from ponder.pipeline.measuring import TooSlow, measure_training
from ponder.pipeline.paces import MeasuredPaces, check_measurable
from ponder.pipeline.workload import Workload

WORK = Workload(
    dtype="float32",
    threads=1,
    problems=ProblemsConfig(task="products"),
    sampling=SamplingConfig(max_completion_tokens=12, max_batch_size=8),
    prompts=2,
    group_size=2,
    microbatch_tokens=512,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    save_model(*make_tiny_model(0), folder)
    return str(folder)


def test_a_shape_is_measured_once(model: str, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    paces = MeasuredPaces()
    pace = paces.sampling(model, WORK)
    assert pace is not None, paces.refused
    assert min(pace.prompt, pace.step + pace.row, pace.speed) > 0
    assert pace.prompt_tokens > 100, "the recipe's own prompts"
    assert (pace.threads, pace.model) == (1, model)
    assert torch.get_num_threads() == threads
    spent = paces.seconds
    save_model(*make_tiny_model(1), tmp_path / "other")
    assert paces.sampling(str(tmp_path / "other"), WORK) is pace
    assert paces.seconds == spent
    learning = paces.training(model, WORK)
    assert learning is not None
    assert learning.token > learning.forward > 0
    assert [name for name, *_ in paces.results()] == [model]


def test_learning_is_measured_without_learning_anything(model: str) -> None:
    opened, tokenizer = load_model(model, "cpu")
    before = {name: value.clone() for name, value in opened.state_dict().items()}
    pace = measure_training(opened, tokenizer, model, WORK)
    assert pace.update > 0
    assert all(torch.equal(value, before[name]) for name, value in opened.state_dict().items())


def test_adapters_are_measured_apart(model: str) -> None:
    pytest.importorskip("peft")
    paces = MeasuredPaces()
    whole = paces.training(model, WORK)
    adapted = Workload(dtype="float32", threads=1, lora=LoraConfig(rank=2), microbatch_tokens=512)
    assert paces.training(model, adapted) is not whole
    assert not paces.refused


def test_a_model_that_is_not_there_yet_is_made_up() -> None:
    small = ArchitectureConfig(
        hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2, num_kv_heads=2
    )
    paces = MeasuredPaces()
    pace = paces.pretraining(small)
    assert paces.refused or (pace is not None and pace.token > 0)
    assert paces.pretraining(small) is pace


def test_what_is_hopeless_is_not_tried(model: str) -> None:
    with pytest.raises(TooSlow, match="too large"):
        check_measurable(model, shape("Qwen2.5-1.5B"), WORK)


def test_without_problems_that_can_be_made_prompts_are_made_up(model: str) -> None:
    paces = MeasuredPaces()
    rows = ProblemsConfig(path=Path("nowhere.jsonl"))
    work = Workload(
        dtype="float32", threads=1, problems=rows, sampling=WORK.sampling, prompts=1, group_size=2
    )
    pace = paces.sampling(model, work)
    assert pace is not None, paces.refused
    assert (pace.prompt_tokens, pace.mean_tokens) == (256, None)
