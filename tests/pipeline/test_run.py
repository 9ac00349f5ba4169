"""Done is skipped, changed is redone with what follows it, what stopped goes on inside."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.pipeline.fakes import KINDS, RECIPE, graph_of

from ponder.errors import GuardError, PonderError
from ponder.pipeline.context import Waiting
from ponder.pipeline.run import Options, Outcome, SilentView, run_pipeline
from ponder.pipeline.status import Standing, pipeline_status
from ponder.pipeline.store import PipelineFolder

VALUE = 3.0  # 0 + 1 + 2
DEV = VALUE + 4 + 1  # the rows of cold, then 0 + 1


class Told(SilentView):
    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.started: list[str] = []

    def on_skip(self, standing: Standing) -> None:
        self.skipped.append(standing.stage.name)

    def on_start(self, standing: Standing, number: int, total: int) -> None:
        self.started.append(f"{standing.stage.name}: {standing.state}")


class Pipeline:
    """A recipe and its folder."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, RECIPE
        self.folder = PipelineFolder(path / "run")

    def run(self, *overrides: str, stop_after: int | None = None, **options: Any) -> Told:
        told, asked = Told(), iter(range(1000))
        graph = graph_of(self.path / "p.toml", self.text, overrides)
        self.outcome = run_pipeline(
            PipelineFolder.create(self.folder.path),
            graph,
            Options(**options),
            told,
            (lambda: next(asked) >= stop_after) if stop_after is not None else lambda: False,
        )
        return told

    def states(self, *overrides: str) -> dict[str, str]:
        graph = graph_of(self.path / "p.toml", self.text, overrides)
        return {n: s.state for n, s in pipeline_status(graph, self.folder).items()}

    def why(self, name: str, *overrides: str) -> str:
        graph = graph_of(self.path / "p.toml", self.text, overrides)
        return pipeline_status(graph, self.folder)[name].why

    def current(self, name: str) -> Path:
        folder = self.folder.current(name)
        assert folder is not None
        return folder.path

    def table(self) -> list[float]:
        values: list[float] = json.loads((self.current("table") / "table.json").read_text())[
            "values"
        ]
        return values

    def steps(self, name: str) -> list[str]:
        """The steps that were done in the stage's folder, also those done twice."""
        return (self.current(name) / "steps.txt").read_text().split()

    def events(self, *names: str) -> list[str]:
        return [
            f"{e['event']} {e.get('stage', '')}".strip()
            for e in self.folder.events()
            if not names or e["event"] in names
        ]


@pytest.fixture
def pipeline(folder: Path) -> Pipeline:
    return Pipeline(folder)


def test_everything_runs_once(pipeline: Pipeline) -> None:
    told = pipeline.run()
    assert told.started == ["zero: new", "cold: new", "dev: new", "table: new"]
    assert pipeline.table() == [VALUE, DEV]
    assert pipeline.outcome == Outcome(None)
    assert set(pipeline.states().values()) == {"done"}
    assert pipeline.run().skipped == ["zero", "cold", "dev", "table"]
    assert pipeline.steps("zero") == ["0", "1", "2"]
    assert pipeline.events("start", "done", "skip")[:3] == ["start zero", "done zero", "start cold"]
    assert (pipeline.folder.path / "pipeline.toml").is_file()


def test_the_record_of_a_stage(pipeline: Pipeline) -> None:
    pipeline.run()
    done = json.loads((pipeline.current("dev") / "stage.json").read_text())
    assert done["key"] == pipeline.current("dev").name
    assert done["kind"] == "grow"
    assert done["outputs"]["model"]["path"] == "checkpoints/step_000002"
    assert done["seconds"] > 0
    assert done["memory"] > 2**20
    zero = json.loads((pipeline.current("zero") / "stage.json").read_text())
    assert done["inputs"]["model"] == [zero["outputs"]["model"]["digest"]]


def test_what_changed_is_redone_with_what_follows(pipeline: Pipeline) -> None:
    pipeline.run()
    old = pipeline.current("cold")
    assert pipeline.states("cold.num_rows=6")["cold"] == "changed"
    assert pipeline.why("cold", "cold.num_rows=6") == "num_rows 4 -> 6"
    assert pipeline.why("dev", "cold.num_rows=6") == "input rows changed"
    told = pipeline.run("cold.num_rows=6")
    assert told.skipped == ["zero"]
    assert pipeline.table() == [VALUE, DEV + 2]
    assert old.is_dir(), "old outputs are kept"
    assert old != pipeline.current("cold")
    assert pipeline.run().started == [], "and found again"
    assert pipeline.current("cold") == old
    assert pipeline.table() == [VALUE, DEV]


def test_prune_removes_what_the_recipe_of_now_does_not_make(pipeline: Pipeline) -> None:
    pipeline.run()
    pipeline.run("cold.num_rows=6", prune=True)
    assert pipeline.outcome.freed > 0
    assert len(list(pipeline.folder.stages_path.glob("*/*/stage.json"))) == 4
    assert set(pipeline.states("cold.num_rows=6").values()) == {"done"}
    assert pipeline.run("cold.num_rows=6").started == []


def test_a_stage_stops_and_goes_on_inside(pipeline: Pipeline) -> None:
    pipeline.run(stop_after=3)  # asked before the stage, and before each of its steps
    assert pipeline.outcome == Outcome("zero")
    assert pipeline.states() == {"zero": "stopped", "cold": "new", "dev": "new", "table": "new"}
    told = pipeline.run()
    assert told.started[0] == "zero: stopped"
    assert pipeline.steps("zero") == ["0", "1", "2"], "none twice"
    assert pipeline.events("start", "stopped", "resume")[:3] == [
        "start zero", "stopped zero", "resume zero",
    ]  # fmt: skip
    assert pipeline.table() == [VALUE, DEV]


def test_a_failed_stage_goes_on_when_mended(pipeline: Pipeline) -> None:
    with pytest.raises(PonderError, match="a mistake") as caught:
        pipeline.run("dev.fault=a mistake")
    assert caught.value.field == "stages.dev.rate"
    assert pipeline.states()["dev"] == "failed"
    assert "a mistake" in pipeline.why("dev")
    told = pipeline.run()  # the fault is no part of the key
    assert told.skipped == ["zero", "cold"]
    assert pipeline.steps("dev") == ["0", "1", "1"]
    assert pipeline.table() == [VALUE, DEV]


def test_a_full_disk_names_the_stage(pipeline: Pipeline) -> None:
    with pytest.raises(PonderError, match="no space left") as caught:
        pipeline.run("zero.fault=disk")
    assert caught.value.field == "stages.zero.disk"
    assert pipeline.states()["zero"] == "failed"
    pipeline.run()
    assert pipeline.table() == [VALUE, DEV]


def test_a_bug_keeps_its_traceback_and_the_work(pipeline: Pipeline) -> None:
    with pytest.raises(ZeroDivisionError):
        pipeline.run("zero.fault=bug")
    assert pipeline.why("zero") == "ZeroDivisionError('by a bug')"
    pipeline.run()
    assert pipeline.steps("zero") == ["0", "1", "1", "2"]


def test_a_stage_that_waits_for_a_person(pipeline: Pipeline) -> None:
    with pytest.raises(Waiting, match="mark the rows"):
        pipeline.run("cold.waits=true")
    assert pipeline.states("cold.waits=true")["cold"] == "waiting"
    (pipeline.current("cold") / "marked").touch()
    pipeline.run("cold.waits=true")
    assert pipeline.table() == [VALUE, DEV]
    pipeline.run("cold.waits=true", "cold.num_rows=7", yes=True)
    assert pipeline.table() == [VALUE, DEV + 3]


def test_from_does_a_stage_and_its_followers_again(pipeline: Pipeline) -> None:
    pipeline.run()
    told = pipeline.run(start="cold")
    assert (told.skipped, told.started) == (["zero"], ["cold: new", "dev: new", "table: new"])
    assert len(list(pipeline.folder.stages_path.glob("cold/*.1/stage.json"))) == 1, "kept aside"
    assert pipeline.run().started == []
    pipeline.run(start="table", prune=True)
    assert len(list(pipeline.folder.stages_path.glob("*/*/stage.json"))) == 4
    with pytest.raises(PonderError, match="did you mean cold") as caught:
        pipeline.run(start="colt")
    assert caught.value.field == "--from"


def test_from_goes_on_with_what_was_interrupted(pipeline: Pipeline) -> None:
    pipeline.run()
    pipeline.run(start="zero", stop_after=3)
    assert pipeline.states()["zero"] == "stopped"
    told = pipeline.run(start="zero")
    assert told.started[0] == "zero: stopped"
    assert pipeline.steps("zero") == ["0", "1", "2"]
    assert told.skipped == []


def test_only_one_stage(pipeline: Pipeline) -> None:
    with pytest.raises(PonderError, match=r"zero must be done first \(not run yet\)") as caught:
        pipeline.run(only="cold")
    assert caught.value.field == "stages.cold.inputs.model"
    assert pipeline.run(only="zero").started == ["zero: new"]
    assert pipeline.run(only="cold").started == ["cold: new"]
    assert pipeline.run(only="cold").skipped == ["cold"]
    with pytest.raises(PonderError, match=r"rate 1\.0 -> 2\.0"):
        pipeline.run("zero.rate=2.0", only="cold")
    with pytest.raises(PonderError, match="no such stage"):
        pipeline.run(only="x")
    with pytest.raises(PonderError, match="not both"):
        pipeline.run(only="cold", start="cold")


def test_a_second_process_is_refused(pipeline: Pipeline) -> None:
    pipeline.run(only="zero")
    with pipeline.folder.lock(), pytest.raises(PonderError, match=f"pid {os.getpid()}"):
        pipeline.run()


def test_an_input_that_was_made_again_is_not_forgotten(pipeline: Pipeline) -> None:
    """The same key, other contents (a GPU): what follows is done again."""
    pipeline.run()
    value = pipeline.current("zero") / "checkpoints" / "step_000003" / "value"
    manifest = value.with_name("manifest.json")
    done = pipeline.current("zero") / "stage.json"
    record = json.loads(done.read_text())
    record["outputs"]["model"]["digest"] = "another"
    done.write_text(json.dumps(record))
    assert pipeline.states()["cold"] == "changed"
    assert pipeline.why("cold") == "input model was made again"
    assert pipeline.why("table") == "dev will be run before it"
    told = pipeline.run()
    assert told.skipped == ["zero"]
    assert len(told.started) == 3
    assert manifest.is_file()


def test_work_begun_with_another_input_is_put_aside(pipeline: Pipeline) -> None:
    with pytest.raises(PonderError):
        pipeline.run("dev.fault=x")
    record = pipeline.current("dev") / "state.json"
    state = json.loads(record.read_text())
    state["inputs"]["rows"] = ["another"]
    record.write_text(json.dumps(state))
    pipeline.run()
    assert pipeline.steps("dev") == ["0", "1"], "from the start"
    assert pipeline.events("aside") == ["aside dev"]


@pytest.mark.parametrize("fault", ["missing", "cut"])
def test_a_damaged_output_is_told(pipeline: Pipeline, fault: str) -> None:
    pipeline.run()
    rows = pipeline.current("cold") / "rows.jsonl"
    if fault == "missing":
        rows.unlink()
    else:
        rows.write_bytes(rows.read_bytes()[:-5])
    assert pipeline.states()["cold"] == "damaged"
    with pytest.raises(PonderError, match=r"rows\.jsonl.*--from cold") as caught:
        pipeline.run()
    assert caught.value.field == "stages.cold.outputs"
    pipeline.run(start="cold")
    assert pipeline.table() == [VALUE, DEV]


def test_an_input_file_that_changes_in_the_middle(pipeline: Pipeline) -> None:
    rows = pipeline.path / "rows.jsonl"
    rows.write_text('{"a": 1}\n')
    pipeline.text = RECIPE.replace('rows = "cold"', f'rows = "{rows}"')
    with pytest.raises(PonderError, match="changed while the pipeline ran") as caught:
        pipeline.run(f"zero.fault=touch:{rows}")
    assert caught.value.field == "stages.dev.inputs.rows"
    rows.write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(PonderError, match="changed while the pipeline ran"):
        pipeline.run(f"dev.fault=touch:{rows}")
    assert pipeline.states()["dev"] != "done", "made of two versions"
    rows.write_text('{"a": 1}\n{"a": 2}\n')
    told = pipeline.run()
    assert told.skipped == ["zero", "cold"]
    assert pipeline.table() == [VALUE, VALUE + 2 + 1]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst"])
def test_a_half_written_file_is_refused(pipeline: Pipeline, suffix: str) -> None:
    rows = pipeline.path / f"rows{suffix}"
    data = b'{"a": 1}\n{"a": 22222222}\n'
    whole = zstandard.compress(data) if suffix.endswith("zst") else data
    rows.write_bytes(whole[:-6])
    pipeline.text = RECIPE.replace('rows = "cold"', f'rows = "{rows}"')
    with pytest.raises(PonderError, match="half written") as caught:
        pipeline.run()
    assert caught.value.field == "stages.dev.inputs.rows"
    assert set(pipeline.states().values()) == {"new"}, "told before anything runs"
    rows.write_bytes(b"")
    with pytest.raises(PonderError, match="empty"):
        pipeline.run()
    rows.write_bytes(whole)
    assert pipeline.run().started[-1] == "table: new"


def test_an_output_that_was_not_made_is_a_broken_stage(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "write", _without_work())
    with pytest.raises(GuardError, match="stage cold: it ended without its output rows"):
        pipeline.run()
    assert pipeline.states()["cold"] == "failed"


def _without_work() -> Any:
    from dataclasses import replace

    return replace(KINDS["write"], run=lambda context: None)


def test_a_cut_line_of_events_is_passed_over(pipeline: Pipeline) -> None:
    pipeline.run(only="zero")
    with pipeline.folder.events_path.open("a") as file:
        file.write('{"event": "sta')
    pipeline.run(only="cold")
    assert pipeline.events("start") == ["start zero", "start cold"]


def test_a_run_folder_is_no_pipeline(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    with pytest.raises(PonderError, match="holds a run"):
        PipelineFolder.create(tmp_path)
    with pytest.raises(PonderError, match=r"no pipeline\.toml"):
        PipelineFolder.open(tmp_path)
    with pytest.raises(PonderError, match="no such folder"):
        PipelineFolder.open(tmp_path / "x")
