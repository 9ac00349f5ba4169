"""The pipeline's report, of a pipeline whose work is made up."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.pipeline.made_up import made_up

from ponder.config.pipeline import load_pipeline
from ponder.pipeline.graph import Graph, build_graph
from ponder.pipeline.report import write_pipeline_report
from ponder.pipeline.report.charts import scale_of
from ponder.pipeline.report.drawing import layers
from ponder.pipeline.run import Options, run_pipeline
from ponder.pipeline.stages import KINDS
from ponder.pipeline.store import PipelineFolder

RECIPE = """\
kind = "pipeline"
name = "<script>r1"
[stages.zero]
kind = "rl"
[stages.general]
kind = "requests"
[stages.dev3]
kind = "sft"
inputs = {data = "general"}
[stages.r1]
kind = "rl"
inputs = {model = "dev3"}
[stages.free]
kind = "rl"
inputs = {model = "dev3"}
[stages.eval_zero]
kind = "eval"
label = "Zero"
inputs = {model = "zero"}
benchmarks."<b>sums" = {task = "requests"}
[stages.eval_r1]
kind = "eval"
label = "R1"
tables = ["Stages", "Ablation"]
inputs = {model = "r1"}
benchmarks."<b>sums" = {task = "requests"}
[stages.eval_free]
kind = "eval"
label = "free"
tables = ["Ablation"]
temperature = 0.25
inputs = {model = "free"}
benchmarks."<b>sums" = {task = "requests"}
"""


class Links(HTMLParser):
    """Where a page points to, and which elements it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("recipe") / "p.toml"
    path.write_text(RECIPE)
    return build_graph(load_pipeline(path), made_up(KINDS))


@pytest.fixture(scope="module")
def whole(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = PipelineFolder.create(tmp_path_factory.mktemp("run"))
    run_pipeline(run, graph)
    return write_pipeline_report(run, graph)


def test_it_holds_every_table_and_leads_to_every_report(whole: Path) -> None:
    page = whole.read_text()
    assert page.count('<table class="stages">') == 2
    assert "<h2>Stages</h2>" in page
    assert "<h2>Ablation</h2>" in page
    links = {link for link in Links(page).links if not link.startswith("#")}
    assert len(links) == 4, "rl and sft stages have reports"
    assert all((whole.parent / link).is_file() for link in links)
    assert "Of 31 rows 20 were kept." in page, "the data card of general"
    first, second = page.split("<h2>Ablation</h2>")
    assert "at temperature 0.25" not in first
    assert re.search(r"at temperature 0\.6, [^<]* free: [^<]* at temperature 0\.25,", second)


def test_nothing_of_a_recipe_is_markup(whole: Path) -> None:
    page = whole.read_text()
    assert "<b>sums" not in page
    assert "<title>&lt;script&gt;r1" in page
    assert Links(page).tags.count("script") == 1
    assert "nan" not in re.findall(r"points='([^']*)'", page)


def test_of_a_pipeline_where_little_is_done(graph: Graph, tmp_path: Path) -> None:
    run = PipelineFolder.create(tmp_path / "run")
    run_pipeline(run, graph, Options(only="zero"))
    page = write_pipeline_report(run, graph).read_text()
    assert "Nothing has been measured yet." in page
    assert "1 of 8 done" in page


def test_what_is_read_stands_above_what_reads_it(graph: Graph) -> None:
    names = [name for name in graph.stages if not name.startswith("eval")]
    assert layers(graph, names) == [["general"], ["dev3", "zero"], ["r1", "free"]] or layers(
        graph, names
    ) == [["zero", "general"], ["dev3"], ["r1", "free"]]


@pytest.mark.parametrize(
    ("values", "bounds"),
    [([0.2, 0.9], (0, 1)), ([93, 98], (92, 98)), ([5, 5], (5, 5.25)), ([0, 0], (0, 1))],
)
def test_bounds_are_round_and_hold_all(values: list[float], bounds: tuple[float, float]) -> None:
    scale = scale_of(values)
    assert scale.low <= min(values)
    assert scale.high >= max(values)
    assert scale.low < scale.high
    assert scale.low == pytest.approx(bounds[0], abs=0.11 * max(1, abs(bounds[0])))
