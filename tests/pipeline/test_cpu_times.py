"""Times of a dry run on a CPU: r1-tiny against a run of it on two quiet cores (2026-11-22)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.config.pipeline import load_pipeline
from ponder.pipeline.estimate import Forecast, forecast
from ponder.pipeline.graph import build_graph
from ponder.pipeline.paces import NoPaces
from ponder.pipeline.stages import KINDS
from ponder.pipeline.store import PipelineFolder
from ponder.pipeline.workload import Workload
from ponder.plan.pace import SamplingPace, TrainingPace

TOOK = {
    "zero": 227, "zero_one": 243, "cold": 19, "dev1": 26, "dev2": 98, "reject": 30, "dev3": 83,
    "helpful": 10, "safety_model": 19, "r1": 79, "on_sft": 79, "on_rl": 81, "distilled": 80,
    "distilled_rl": 36, "eval_base": 15, "eval_zero": 27, "eval_r1": 33,
}  # fmt: skip
"""Seconds, the evaluations that are like others left out, and what took less than ten."""


class ReferencePaces(NoPaces):
    """The rates of that run, by its own metrics, and the base's completions at its first step."""

    def sampling(self, model: str, work: Workload) -> SamplingPace:
        return SamplingPace(
            prompt=0.006, prompt_tokens=107, step=0.005, row=58e-6, mean_tokens=46.6, longest=3.5,
            speed=8000.0, threads=2, model="base-bilingual",
        )  # fmt: skip

    def training(self, model: str, work: Workload) -> TrainingPace:
        return TrainingPace(1 / 7500, 1 / 22000, 0.01, 2, "base-bilingual")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Forecast]:
    run = PipelineFolder(tmp_path_factory.mktemp("run") / "new")
    found = forecast(build_graph(load_pipeline("r1-tiny"), KINDS), run, None, ReferencePaces())
    return {item.standing.stage.name: item for item in found}


@pytest.mark.parametrize("name", TOOK)
def test_within_a_factor_of_two(name: str, stages: dict[str, Forecast]) -> None:
    estimate = stages[name].estimate
    assert estimate.seconds is not None
    assert TOOK[name] / 2 < estimate.seconds < TOOK[name] * 2
    assert (estimate.most_seconds or 0) > max(TOOK[name], estimate.seconds)


def test_the_whole(stages: dict[str, Forecast]) -> None:
    spent = [item.estimate.seconds for item in stages.values()]
    assert None not in spent
    assert 24 * 60 / 1.5 < sum(filter(None, spent)) < 24 * 60 * 1.5


def test_what_a_stage_writes_is_what_the_next_reads(stages: dict[str, Forecast]) -> None:
    cold, dev1 = stages["cold"].estimate, stages["dev1"].estimate
    assert cold.row_tokens is not None
    assert cold.rows is not None
    assert dev1.seconds == pytest.approx(
        1.5 + 3 * cold.rows * cold.row_tokens / 7500 + 3 * cold.rows / 16 * 0.01, rel=0.02
    )


def test_reward_models_are_in_the_memory_of_rl(stages: dict[str, Forecast]) -> None:
    with_two, without = stages["r1"].estimate.memory, stages["dev2"].estimate.memory
    assert with_two is not None
    assert without is not None
    assert with_two - without == pytest.approx(2 * 1.97e6 * 4, rel=0.02)


def test_nothing_is_known_without_measuring(tmp_path: Path) -> None:
    found = forecast(build_graph(load_pipeline("r1-tiny"), KINDS), PipelineFolder(tmp_path / "x"))
    timed = {item.standing.stage.name for item in found if item.estimate.seconds is not None}
    assert timed == {"general"}
