"""kill -9 inside every stage and at every moment between, then resume: the identical outputs."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.forks import CHANGES, die_before, forked
from tests.pipeline.fakes import RECIPE as UNNAMED
from tests.pipeline.fakes import graph_of

from ponder.pipeline.run import Options, run_pipeline
from ponder.pipeline.status import pipeline_status
from ponder.pipeline.store import PipelineFolder

RECIPE = f"name = 'kill'\n{UNNAMED}"
ROOT = Path(__file__).parents[2]
EVENTS = CHANGES | {"open"}
MOMENTS = [
    *(f"zero:{moment}" for moment in ("begin", "step1", "step2", "step3", "end", "summary")),
    *(f"cold:{moment}" for moment in ("row0", "row3", "part", "end")),
    *(f"dev:{moment}" for moment in ("begin", "step1", "step2", "summary")),
    *(f"table:{moment}" for moment in ("begin", "end")),
]
PRIVATE = {"lock", "pipeline.jsonl", "state.json", "stage.json", "steps.txt"}
"""Files with times and process ids in them, and the fakes' diary."""


def files(run: Path) -> dict[str, bytes]:
    found = {file.relative_to(run).as_posix(): file for file in run.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in found.items() if file.name not in PRIVATE}


def live(run: Path, kill: str = "", options: Options | None = None) -> int:
    """A pipeline in a forked process, killed at a moment of a stage; its exit code."""
    return live_in_fork(run, options, lambda: os.environ.__setitem__("KILL", kill))


def live_in_fork(run: Path, options: Options | None, prepare: Callable[[], object]) -> int:
    def work() -> None:
        graph = graph_of(run.with_suffix(".toml"), RECIPE)
        folder = PipelineFolder.create(run)
        prepare()
        run_pipeline(folder, graph, options)

    status = forked(work)
    assert status in (0, -signal.SIGKILL), "the pipeline failed: see its traceback"
    return status


@pytest.fixture
def expected(folder: Path) -> dict[str, bytes]:
    assert live(folder / "whole") == 0
    found = files(folder / "whole")
    assert sum(name.endswith("table.json") for name in found) == 1
    return found


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_inside_a_stage(folder: Path, expected: dict[str, bytes], moment: str) -> None:
    run = folder / "run"
    assert live(run, moment) == -signal.SIGKILL
    name = moment.partition(":")[0]
    standing = pipeline_status(graph_of(folder / "p.toml", RECIPE), PipelineFolder(run))[name]
    assert standing.state == "interrupted"
    assert live(run) == 0
    assert files(run) == expected


def test_killed_at_any_write(folder: Path, expected: dict[str, bytes]) -> None:
    """Before a system call that opens, renames or removes something, and again in the resume."""
    chance = random.Random(0)
    kill_at, kills = 0, 0
    while True:
        kill_at += chance.randint(6, 30)
        run = folder / str(kill_at)
        if live_in_fork(run, None, lambda at=kill_at: die_before(at, EVENTS)) == 0:
            break
        kills += 1
        live_in_fork(run, None, lambda: die_before(chance.randint(1, 200), EVENTS))
        assert live(run) == 0
        assert files(run) == expected, f"killed before event {kill_at}"
        shutil.rmtree(run)
    assert kills > 8


def test_killed_while_old_outputs_are_put_aside(folder: Path, expected: dict[str, bytes]) -> None:
    for kill_at in range(1, 60, 6):
        run = folder / str(kill_at)
        shutil.copytree(folder / "whole", run)
        live_in_fork(run, Options(start="cold"), lambda at=kill_at: die_before(at, EVENTS))
        assert live(run) == 0
        aside = {path.relative_to(run).as_posix() for path in run.glob("stages/*/*.1/**/*")}
        now = {name: data for name, data in files(run).items() if name not in aside}
        assert now == expected, f"killed before event {kill_at}"
        shutil.rmtree(run)


def test_killed_from_outside_in_a_process_of_its_own(folder: Path) -> None:
    """And a second process is refused for as long as the first one lives."""
    run, recipe = folder / "run", folder / "p.toml"
    recipe.write_text(RECIPE.replace("steps = 3", "steps = 20000"))
    command = [sys.executable, "-m", "tests.pipeline.fakes", str(run), str(recipe), "{}"]
    first = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "src"})
    while not list(run.glob("stages/zero/*/checkpoints/step_*")):
        assert first.poll() is None
        time.sleep(0.01)
    graph = graph_of(folder / "q.toml", recipe.read_text())
    assert pipeline_status(graph, PipelineFolder(run))["zero"].state == "running"
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert f"another process (pid {first.pid}" in second.stderr
    first.kill()
    first.wait()
    assert pipeline_status(graph, PipelineFolder(run))["zero"].state == "interrupted"
