"""Every command, every pipeline and every table of settings that docs/pipeline.md shows works."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from ponder.cli.main import parse
from ponder.cli.parser import build_parser
from ponder.config.pipeline import load_pipeline
from ponder.config.recipes import load_recipe, pipeline_names
from ponder.pipeline.estimate import forecast
from ponder.pipeline.graph import build_graph
from ponder.pipeline.stages import KINDS
from ponder.pipeline.store import PipelineFolder

DOCS = Path(__file__).parents[1] / "docs"
GUIDE = (DOCS / "pipeline.md").read_text(encoding="utf-8")
COMMANDS = [
    *re.findall(r"^    (ponder .*)$", GUIDE, re.M),
    *re.findall(r"`(ponder (?:pipeline|distil|train) [^`]+)`", GUIDE),
]
BLOCKS = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.M | re.S)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_shown_command_parses_and_its_recipe_resolves(command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    arguments = parse(build_parser(), words)
    if words[0] == "distil" and arguments.teacher is not None:
        load_recipe(arguments.recipe, arguments.overrides)
    if words[0] == "pipeline" and vars(arguments).get("recipe") in pipeline_names():
        build_graph(load_pipeline(arguments.recipe, arguments.overrides), KINDS)


def test_the_shown_pipeline_can_be_planned(tmp_path: Path) -> None:
    whole = [block for block in BLOCKS if block.startswith("kind")]
    assert len(whole) == 1
    path = tmp_path / "mine.toml"
    path.write_text(whole[0])
    graph = build_graph(load_pipeline(path), KINDS)
    assert [item.standing.stage.name for item in forecast(graph, PipelineFolder(tmp_path))] == [
        *("zero", "traces", "tuned", "on_base", "on_zero", "on_tuned")
    ]


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.startswith("kind")])
def test_shown_stages_have_settings_that_there_are(block: str) -> None:
    for table in tomllib.loads(block)["stages"].values():
        kind = KINDS[table["kind"]]
        assert set(table.get("inputs", {})) <= set(kind.inputs)
        settings = {k: v for k, v in table.items() if k not in ("kind", "recipe", "inputs")}
        kind.config_class.model_validate(settings)


def test_every_kind_has_a_row_and_its_inputs_and_keys_are_right() -> None:
    section = GUIDE[GUIDE.index("## The kinds") : GUIDE.index("## A pipeline of your own")]
    rows = [row.split("|")[1:5] for row in re.findall(r"^\| `.*$", section, re.M)]
    assert {name.strip(" `") for name, *_ in rows} == set(KINDS)
    for name, reads, _, keys in rows:
        kind = KINDS[name.strip(" `")]
        assert set(re.findall(r"`(\w+)`", reads)) == set(kind.inputs), name
        for key in re.findall(r"`([a-z_.]+)`", keys):
            assert key.split(".")[0] in kind.config_class.model_fields, (name, key)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", GUIDE))
def test_links_lead_somewhere(link: str) -> None:
    assert (DOCS / link).exists()
