"""Times of a dry run on a GPU, by the planner: r1-tiny on an H100 that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.config.pipeline import load_pipeline
from ponder.pipeline.estimate import forecast
from ponder.pipeline.graph import build_graph
from ponder.pipeline.kinds import Estimate
from ponder.pipeline.stages import KINDS, distillation_estimate
from ponder.pipeline.store import PipelineFolder
from ponder.plan import devices
from ponder.plan.constants import FIRST_CALL_SECONDS


@pytest.fixture(autouse=True)
def an_h100(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "this_gpu", lambda: devices.named_gpu("h100"))


def estimates(folder: Path, *settings: str) -> dict[str, Estimate]:
    recipe = load_pipeline("r1-tiny", ["common.device=cuda", *settings])
    found = forecast(build_graph(recipe, KINDS), PipelineFolder(folder / "new"))
    return {item.standing.stage.name: item.estimate for item in found}


def working(estimate: Estimate) -> float:
    """Seconds without those of the beginning."""
    assert estimate.seconds is not None
    return estimate.seconds - FIRST_CALL_SECONDS


def test_what_samples_has_a_time(tmp_path: Path) -> None:
    found = estimates(tmp_path)
    names = ("zero", "cold", "reject", "helpful", "safety", "distilled", "eval_base", "eval_r1")
    assert all(working(found[name]) > 0 for name in names)
    assert found["dev1"].seconds is None, "the length of its rows is not known"


def test_twice_the_samples_take_twice_the_time(tmp_path: Path) -> None:
    few = estimates(tmp_path, "common.num_problems=4096", "helpful.num_prompts=8192")
    many = estimates(tmp_path, "common.num_problems=8192", "helpful.num_prompts=16384")
    for name in ("eval_r1", "helpful"):
        assert working(many[name]) == pytest.approx(2 * working(few[name]), rel=0.05)


def test_the_teacher_s_passes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = "distilled.method=on_policy"
    few = estimates(tmp_path, method, "distilled.on_policy.steps=40")["distilled"]
    many = estimates(tmp_path, method, "distilled.on_policy.steps=80")["distilled"]
    assert working(many) == pytest.approx(2 * working(few), rel=1e-6)
    monkeypatch.setattr(distillation_estimate, "forward_seconds", lambda *args: 0.0)
    alone = estimates(tmp_path, method, "distilled.on_policy.steps=40")["distilled"]
    assert 0 < working(alone) < working(few)


def test_what_is_distilled_is_also_learnt(tmp_path: Path) -> None:
    once, thrice = (
        estimates(tmp_path, f"distilled.off_policy.epochs={epochs}")["distilled"]
        for epochs in (1, 3)
    )
    assert working(thrice) > working(once) > 0
