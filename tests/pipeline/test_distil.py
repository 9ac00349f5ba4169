"""The stage "distil", both methods: what it leaves, kills and stops inside, wrong uses."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.forks import die_before, forked
from tests.pipeline.judging import (
    VERIFIER,
    Told,
    context_of,
    read_lines,
    write_problems,
)

from ponder.config.distil import DistilConfig
from ponder.errors import PonderError
from ponder.models.load import load_model, save_model
from ponder.models.tiny import make_tiny_model
from ponder.pipeline.context import StageContext, Stopped
from ponder.pipeline.kinds import Source
from ponder.pipeline.stages import KINDS
from ponder.runlog import read_metrics

METHODS = ("off_policy", "on_policy")
SECONDS = ("time/", "speed/")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    save_model(*make_tiny_model(1, hidden_size=48), folder / "teacher")
    save_model(*make_tiny_model(0), folder / "student")
    save_model(*make_tiny_model(2, words=(" the",)), folder / "stranger")
    write_problems(folder / "problems.jsonl", 100)
    return folder


def config_of(inputs: Path, method: str, **settings: Any) -> DistilConfig:
    defaults: dict[str, Any] = {
        "teacher": str(inputs / "teacher"),
        "model": str(inputs / "student"),
        "method": method,
        "device": "cpu",
        "threads": 1,
        "problems": {"path": inputs / "problems.jsonl", "verifier": VERIFIER},
        "template": {"name": "plain"},
        "sampling": {"max_completion_tokens": 12, "max_batch_size": 12},
        "collect": {"num_problems": 8, "group_size": 3},
        "filters": {
            "format": "any",
            "min_language": 0.0,
            "max_repetition": 1.0,
            "allow_truncated": True,
        },
        "dedupe": {"near_threshold": 1.1},
        "off_policy": {"epochs": 2, "samples": 4},
        "on_policy": {"steps": 3, "prompts_per_step": 4, "group_size": 2},
        "optimizer": {"learning_rate": 1e-2, "min_learning_rate": 1e-3},
        "eval": {"num_problems": 4, "k": 2},
        "checkpoint": {"every": 1},
    }
    return DistilConfig.model_validate(defaults | settings)


def run(context: StageContext) -> None:
    KINDS["distil"].run(context)


def outputs(folder: Path) -> dict[str, Any]:
    """What must not depend on kills: weights, rows, figures, metrics but for times."""
    (last,) = sorted(folder.glob("checkpoints/step_*"))[-1:]
    summary = json.loads((folder / "summary.json").read_text()) | {"seconds": 0}
    metrics = [
        {key: value for key, value in row.items() if not key.startswith(SECONDS)}
        for row in read_metrics(folder / "metrics.jsonl")
    ]
    return {
        "model": (last.name, (last / "model.safetensors").read_bytes()),
        "rows": (folder / "data" / "rows.jsonl").read_bytes(),
        "summary": summary,
        "metrics": metrics,
        "folders": sorted(path.name for path in folder.iterdir() if path.is_dir()),
    }


@pytest.fixture(scope="module")
def wholes(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both methods without interruption."""
    found = {}
    for method in METHODS:
        found[method] = tmp_path_factory.mktemp(method)
        run(context_of(found[method], config_of(inputs, method)))
    return found


def test_off_policy_learns_the_teachers_right_answers(
    inputs: Path, wholes: dict[str, Path]
) -> None:
    folder = wholes["off_policy"]
    rows = read_lines(folder / "data" / "rows.jsonl")
    samples = json.loads((folder / "data" / "samples.json").read_text())
    assert 0 < len(rows) <= samples["num_solved"] <= 8
    assert len({row["problem_id"] for row in rows}) == len(rows)
    assert {row["teacher"] for row in rows} == {"teacher"}
    assert (folder / "data" / "rows.jsonl.card.md").is_file()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["data"]["samples"] == len(rows)
    assert summary["last_loss"] < summary["first_loss"]
    check_figures(summary)
    model, _ = load_model(str(folder / summary["model"]), "cpu")
    assert model.config.hidden_size == 32


def test_on_policy_comes_nearer_and_keeps_what_was_written(wholes: dict[str, Path]) -> None:
    folder = wholes["on_policy"]
    rows = read_lines(folder / "data" / "rows.jsonl")
    assert len(rows) == len({row["id"] for row in rows}) == 3 * 4 * 2
    assert {row["source"] for row in rows} == {"student"}
    assert {row["verdict"] for row in rows} <= {"correct", "incorrect", "unparsable"}
    metrics = [row for row in read_metrics(folder / "metrics.jsonl") if "loss/total" in row]
    assert metrics[-1]["distil/reverse_kl"] < metrics[0]["distil/reverse_kl"]
    check_figures(json.loads((folder / "summary.json").read_text()))


def check_figures(summary: dict[str, Any]) -> None:
    for who in ("before", "after", "teacher"):
        assert summary[who]["num_problems"] > 1, who
        assert 0 <= summary[who]["pass@1"] <= 1, who


@pytest.mark.parametrize("method", METHODS)
def test_killed_before_a_change_of_the_disk(
    inputs: Path, wholes: dict[str, Path], folder: Path, method: str
) -> None:
    """And again in the resume; with what it ends with, it ends as if it had not been."""
    expected, chance = outputs(wholes[method]), random.Random(0)
    number, kills = 0, 0
    while True:
        number += chance.randint(20, 45)
        context = context_of(folder / str(number), config_of(inputs, method))

        def life(number: int, context: StageContext = context) -> None:
            torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
            die_before(number)
            run(context)

        status = forked(lambda number=number: life(number))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
        again = chance.randint(1, 20)
        assert forked(lambda again=again: life(again)) in (0, -signal.SIGKILL)
        assert forked(lambda life=life: life(0)) == 0
        assert outputs(context.folder) == expected, f"killed before change {number}"
    assert kills >= 2


def after(times: int) -> Callable[[], bool]:
    """False so many times, then True."""
    asked = iter([False] * times)
    return lambda: next(asked, True)


def test_it_stops_where_it_is_asked_to_and_goes_on(
    inputs: Path, wholes: dict[str, Path], folder: Path
) -> None:
    for method, times in (("off_policy", 1), ("off_policy", 4), ("on_policy", 2)):
        config = config_of(inputs, method)
        where = folder / f"{method}{times}"
        with pytest.raises(Stopped):
            run(context_of(where, config, should_stop=after(times)))
        run(context_of(where, config))
        assert outputs(where) == outputs(wholes[method])


def test_a_finished_stage_does_nothing_again(inputs: Path, wholes: dict[str, Path]) -> None:
    for method in METHODS:
        before = {p: p.stat().st_mtime_ns for p in wholes[method].rglob("*") if p.is_file()}
        run(context_of(wholes[method], config_of(inputs, method)))
        after = {p: p.stat().st_mtime_ns for p in wholes[method].rglob("*") if p.is_file()}
        unlike = {path.name for path in before if before[path] != after.get(path)}
        assert unlike <= {"lock"}
        assert before.keys() == after.keys()


def test_inputs_go_before_the_names_of_the_config(inputs: Path, folder: Path) -> None:
    config = config_of(inputs, "on_policy", teacher=None, model="nobody", eval={"num_problems": 0})
    models = {"teacher": (inputs / "teacher",), "student": (inputs / "student",)}
    run(context_of(folder, config, models))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["teacher"] is None
    assert summary["method"] == "on_policy"


def test_off_policy_needs_no_common_tokenizer(inputs: Path, folder: Path) -> None:
    config = config_of(inputs, "off_policy", teacher=str(inputs / "stranger"))
    run(context_of(folder, config))
    assert read_lines(folder / "data" / "rows.jsonl")


@pytest.mark.parametrize("method", METHODS)
def test_wrong_uses(inputs: Path, folder: Path, method: str) -> None:
    def refused(**settings: Any) -> PonderError:
        with pytest.raises(PonderError) as caught:
            run(context_of(folder / "run", config_of(inputs, method, **settings)))
        assert not list(folder.glob("run/checkpoints/*"))
        return caught.value

    assert refused(teacher=None).field == "teacher"
    assert "itself" in refused(teacher=str(inputs / "student")).fix
    assert refused(teacher=str(inputs / "nobody")).field == "teacher"
    assert refused(model=str(inputs / "nobody")).field == "model"
    with pytest.raises(PonderError) as error:
        config_of(inputs, method, choose={"at_most": 4})
    assert error.value.field == "choose.at_most"


def test_what_it_will_take(inputs: Path) -> None:
    kind = KINDS["distil"]
    found = {m: kind.estimate(config_of(inputs, m), {}) for m in METHODS}
    assert found["off_policy"].rows == 8
    assert found["on_policy"].rows == 3 * 4 * 2
    assert all((one.memory or 0) > 0 and (one.bytes or 0) > 0 for one in found.values())
    assert found["on_policy"].model == str(inputs / "student")
    unknown = config_of(inputs, "on_policy", teacher=None)
    of_stage = {"teacher": [Source(inputs / "teacher")]}
    more, less = kind.estimate(unknown, of_stage).memory, kind.estimate(unknown, {}).memory
    assert (more or 0) > (less or 0)
    assert kind.files(config_of(inputs, "off_policy")).keys() == {"model", "teacher"}
    assert "8 problems x 3" in kind.describe(config_of(inputs, "off_policy"))
    assert "3 steps of 4 x 2" in kind.describe(config_of(inputs, "on_policy"))


def test_progress_is_told(inputs: Path, folder: Path) -> None:
    context = context_of(folder, config_of(inputs, "off_policy"))
    run(context)
    assert isinstance(context.view, Told)
    assert context.view.steps[-1][0] > 0
    assert any("teacher" in note for note in context.view.notes)
