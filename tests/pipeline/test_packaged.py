"""Every packaged pipeline: its graph, what it would take, and r1-tiny from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pipeline.made_up import made_up

from ponder.cli.main import main
from ponder.config.pipeline import load_pipeline
from ponder.config.recipes import pipeline_names
from ponder.config.reject import RejectConfig
from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.curate.decontaminate import build_index
from ponder.curate.tokens import tokenize
from ponder.pipeline.estimate import forecast
from ponder.pipeline.graph import Graph, build_graph
from ponder.pipeline.report import write_pipeline_report
from ponder.pipeline.run import run_pipeline
from ponder.pipeline.stages import KINDS
from ponder.pipeline.stages.curated import benchmark_texts
from ponder.pipeline.store import PipelineFolder
from ponder.pipeline.table import read_tables, table_paths
from ponder.problems.split import build_problems

STAGES = ["Zero", "Dev1", "Dev2", "Dev3", "R1"]
SHRUNK = (
    "common.threads=1",
    "common.batch.prompts_per_step=4",
    "common.batch.group_size=4",
    "common.sampling.max_completion_tokens=120",
    "common.max_completion_tokens=120",
    "common.num_problems=4",
    "common.k=1",
    "cold.collect.num_problems=40",
    "reject.collect.num_problems=40",
    "distilled.collect.num_problems=40",
    "general.num_rows=40",
    "helpful.num_prompts=64",
    "safety.num_prompts=64",
    *(f"{name}.epochs=1" for name in ("dev1", "dev3", "on_sft")),
    *(f"{name}.steps=2" for name in ("zero", "zero_one", "dev2", "r1", "on_rl", "distilled_rl")),
)


def graph_of(name: str) -> Graph:
    return build_graph(load_pipeline(name), KINDS)


@pytest.mark.parametrize("name", pipeline_names())
def test_it_is_a_graph(name: str) -> None:
    assert len(graph_of(name).stages) > 5


@pytest.mark.parametrize("name", ["r1-tiny", "r1-tiny-paper"])
def test_it_can_be_planned(name: str, tmp_path: Path) -> None:
    stages = forecast(graph_of(name), PipelineFolder(tmp_path / "new"))
    assert all(item.about for item in stages)


@pytest.mark.parametrize("name", ["r1-tiny", "r1-tiny-paper"])
def test_every_arrow_of_the_paper_is_there(name: str) -> None:
    stages = graph_of(name).stages
    assert stages["cold"].needs == ["zero"]
    assert stages["dev1"].needs == ["cold"], "the base, not zero"
    assert stages["dev2"].needs == ["dev1"]
    assert set(stages["reject"].needs) == {"dev2", "general"}
    assert stages["dev3"].needs == ["reject"], "the base again, not dev2"
    assert set(stages["r1"].needs) == {"dev3", "helpful_model", "safety_model"}
    assert stages["distilled"].needs == ["r1"]
    with_it, without = stages["zero_one"].config, stages["zero"].config
    assert isinstance(with_it, RLConfig)
    assert isinstance(without, RLConfig)
    assert (with_it.reward.language, without.reward.language) == (1.0, 0.0)
    same = {"name", "reward"}
    assert with_it.model_dump(exclude=same) == without.model_dump(exclude=same)
    both = [stages[name].config.model_dump(exclude={"name"}) for name in ("r1", "on_rl")]
    assert both[0] == both[1]


def test_the_papers_values_by_stated_factors() -> None:
    stages = graph_of("r1-tiny-paper").stages
    for name in ("zero", "dev2", "r1"):
        config = stages[name].config
        assert isinstance(config, RLConfig)
        assert config.optimizer.learning_rate == pytest.approx(24 * 3e-6)
        assert (config.algorithm.loss, config.algorithm.kl_coef) == ("grpo", 0.001)
        assert config.algorithm.clip_low == config.algorithm.clip_high == 10
        assert config.algorithm.reference_every == round(400 / 43)
        assert config.batch.prompts_per_step / config.batch.minibatches == 32 / 8
        assert (config.batch.group_size, config.batch.minibatches) == (16, 16 // 4)
        assert config.sampling.max_completion_tokens == 32768 // 128
    r1 = stages["r1"].config
    assert isinstance(r1, RLConfig)
    assert r1.steps == round(1700 / 43)
    assert r1.preference.start == pytest.approx(1300 / 1700, abs=1e-3)
    assert r1.sampling.temperature == 0.7
    for name in ("dev1", "dev3"):
        sft = stages[name].config
        assert isinstance(sft, SFTConfig)
        assert (sft.epochs, sft.batch.samples) == (2, 128 // 8)
        assert sft.optimizer.learning_rate == pytest.approx(24 * 5e-5)
        assert sft.optimizer.min_learning_rate == pytest.approx(24 * 5e-6)
    model = stages["helpful_model"].config
    assert isinstance(model, RewardModelConfig)
    assert (model.epochs, model.batch_size) == (1, 256 // 8)
    assert model.optimizer.learning_rate == pytest.approx(24 * 6e-6)


def test_its_tables(tmp_path: Path) -> None:
    graph = build_graph(load_pipeline("r1-tiny"), made_up(KINDS))
    run = PipelineFolder.create(tmp_path / "run")
    run_pipeline(run, graph)
    tables = read_tables(table_paths(graph, run))
    assert [column.label for column in tables["Stages"].columns] == STAGES
    assert [column.label for column in tables["Distillation"].columns] == [
        "base",
        "Zero",
        "R1",
        "distilled",
        "distilled, RL",
    ]
    page = write_pipeline_report(run, graph).read_text()
    assert page.count("<h2>") >= len(tables) + 4


@pytest.mark.slow
def test_a_small_one_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["pipeline", "run", "r1-tiny", "--out", str(run), *SHRUNK]) == 0
    said = capsys.readouterr().out
    assert "correct, %" in said
    assert all(label in said for label in STAGES)
    assert (run / "report.html").stat().st_size > 20_000
    assert main(["pipeline", "run", str(run), "--dry-run"]) == 0
    assert "everything is done" in capsys.readouterr().out


def test_r1_tinys_sums_are_not_contaminated_by_their_wording() -> None:
    """Nine words of it and a first number are ten in a row, which the benchmark has as well."""
    config = graph_of("r1-tiny").stages["reject"].config
    assert isinstance(config, RejectConfig)
    sums = [entry for entry in config.problems.mixture or () if entry["task"] == "chain_sum"]
    problems = config.problems.model_copy(update={"mixture": sums})
    train = build_problems(problems, config.seed).train
    rows = tokenize([train[number].question for number in range(100)])
    texts = benchmark_texts(config)
    found = []
    for ngram in (10, config.decontaminate.ngram):
        settings = config.decontaminate.model_copy(update={"ngram": ngram})
        found.append(len(build_index(settings, texts).find(rows)))
    assert found[0] > 0
    assert found[1] == 0
