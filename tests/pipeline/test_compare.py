"""Several runs of one pipeline: means over them, errors of the means, and what is no comparison."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.pipeline.made_up import made_up

from ponder.cli.main import main
from ponder.config.pipeline import load_pipeline
from ponder.errors import PonderError
from ponder.pipeline.compare import compare
from ponder.pipeline.graph import build_graph
from ponder.pipeline.run import Options, run_pipeline
from ponder.pipeline.stages import KINDS
from ponder.pipeline.store import PipelineFolder
from ponder.pipeline.table import to_markdown

RECIPE = """\
kind = "pipeline"
name = "two"
[common]
benchmarks.sums = {task = "requests"}
[stages.zero]
kind = "rl"
[stages.eval_base]
kind = "eval"
label = "a|b"
[stages.eval_zero]
kind = "eval"
label = "Zero"
tables = ["Stages", "Again"]
inputs = {model = "zero"}
"""

ACCURACY = {0: (0.2, 0.5), 1: (0.4, 0.6), 2: (0.3, 1.0)}
"""By seed: of the base and of Zero."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "p.toml").write_text(RECIPE)
    paths = []
    for seed, wanted in ACCURACY.items():
        recipe = load_pipeline(str(folder / "p.toml"), [f"common.seed={seed}"])
        run = PipelineFolder.create(folder / str(seed))
        graph = build_graph(recipe, made_up(KINDS))
        run_pipeline(run, graph, Options())
        for stage, value in zip(("eval_base", "eval_zero"), wanted, strict=True):
            (path,) = run.path.glob(f"stages/{stage}/*/table.json")
            table = json.loads(path.read_text())
            table["benchmarks"]["sums"]["measures"]["accuracy"]["value"] = value
            path.write_text(json.dumps(table))
        paths.append(run.path)
    return paths


def test_means_and_errors_by_hand(runs: list[Path]) -> None:
    found = compare(runs)
    assert list(found.tables) == ["Stages", "Again"]
    base, zero = (column.cells["accuracy", "sums"] for column in found.tables["Stages"].columns)
    assert base.value == pytest.approx(0.3)
    assert base.stderr == pytest.approx(0.1 / 3**0.5), "not that of a run's problems"
    assert zero.value == pytest.approx(0.7)
    assert zero.stderr == pytest.approx((0.07 / 3) ** 0.5)
    gain = found.difference("Zero", "a|b").cells["accuracy", "sums"]
    assert gain.value == pytest.approx(0.4)
    assert gain.stderr == pytest.approx((0.14 / 6) ** 0.5), "of 0.3, 0.2 and 0.7"


def test_one_run_has_no_error(runs: list[Path]) -> None:
    (column, _) = compare(runs[:1]).tables["Stages"].columns
    assert {cell.stderr for cell in column.cells.values()} == {None}


def test_as_a_document(runs: list[Path]) -> None:
    lines = to_markdown(compare(runs).tables["Stages"]).splitlines()
    assert lines[:4] == [
        "|  | a\\|b | Zero |",
        "| --- | ---: | ---: |",
        "| **correct, %** |  |  |",
        "| sums | 30.0 ± 5.8 | **70.0 ± 15.3** |",
    ]


def test_the_command(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pipeline", "compare", *map(str, runs), "--difference", "Zero", "a|b"]
    assert main([*words, "--json", str(tmp_path / "all.json")]) == 0
    said = capsys.readouterr().out
    assert "runs: 3" in said
    assert "Zero - a|b" in said
    assert "40.0 ± 15.3" in said
    written = json.loads((tmp_path / "all.json").read_text())
    assert written["columns"]["Zero"]["accuracy"]["sums"] == [0.5, 0.6, 1.0]


def test_what_is_no_comparison(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(PonderError, match=r"the same run as .*common\.seed"):
        compare([runs[0], runs[1], runs[0]])
    with pytest.raises(PonderError, match='"Zero"'):
        compare(runs).difference("One", "Zero")
    (tmp_path / "p.toml").write_text(RECIPE.partition("[stages.eval_zero]")[0])
    other = PipelineFolder.create(tmp_path / "other")
    graph = build_graph(load_pipeline(str(tmp_path / "p.toml")), made_up(KINDS))
    run_pipeline(other, graph, Options(only="eval_base"))
    with pytest.raises(PonderError, match=r"columns are not those of .*Zero"):
        compare([runs[0], other.path])
    with pytest.raises(PonderError, match="no pipeline"):
        compare([tmp_path])


def test_tables_of_another_version(runs: list[Path], tmp_path: Path, capsys) -> None:
    old = tmp_path / "old"
    shutil.copytree(runs[0], old)
    stage = old / "stages" / "eval_zero"
    (stage / (stage / "current").read_text().strip()).rename(stage / "0123456789abcdef")
    (stage / "current").write_text("0123456789abcdef\n")
    assert main(["pipeline", "compare", str(old), str(runs[1])]) == 0
    said = capsys.readouterr().out
    assert f"{old}: tables made with other settings" in said
    assert str(runs[1]) not in said
    assert "55.0 ± 5.0" in said
    (stage / "fedcba9876543210").mkdir()  # begun again, and not done
    (stage / "current").write_text("fedcba9876543210\n")
    assert compare([old, runs[1]]).changed == [old]
