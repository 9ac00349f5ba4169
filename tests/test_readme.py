"""Every command and every recipe that README.md shows is one that works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ponder.cli.main import parse
from ponder.cli.parser import build_parser
from ponder.cli.specs import parse_problems
from ponder.config.pipeline import load_pipeline
from ponder.config.recipes import load_recipe, pipeline_names
from ponder.config.rl import RLConfig
from ponder.pipeline.graph import build_graph
from ponder.pipeline.stages import KINDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (ponder .*)$", README, flags=re.MULTILINE)


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_a_shown_command_parses_and_its_recipe_resolves(command: str) -> None:
    arguments = parse(build_parser(), shlex.split(command)[1:])
    if arguments.command == "ponder.cli.train" and arguments.resume is None:
        load_recipe(arguments.recipe, arguments.overrides)
    if arguments.command == "ponder.cli.distil":
        load_recipe(arguments.recipe, arguments.overrides)
    if arguments.command == "ponder.cli.pipeline" and arguments.recipe in pipeline_names():
        build_graph(load_pipeline(arguments.recipe, arguments.overrides), KINDS)
    if arguments.command == "ponder.cli.eval":
        parse_problems(arguments.problems)


def test_the_shown_recipe_resolves(tmp_path: Path) -> None:
    (block,) = re.findall(r"(?:^    .*\n|^\n)+", README[README.index('    extends = "') :], re.M)[
        :1
    ]
    path = tmp_path / "my.toml"
    path.write_text("\n".join(line.removeprefix("    ") for line in block.splitlines()))
    config = load_recipe(path).config
    assert isinstance(config, RLConfig)
    assert config.problems.settings == {"min_terms": 3, "max_terms": 4}


def test_every_command_has_a_row_in_the_table() -> None:
    listed = re.findall(r"^    ([a-z]+) {2,}", build_parser().format_help(), re.M)
    table = [row.split()[1] for row in re.findall(r"^\| `(ponder [^`]*)`", README, re.M)]
    assert len(listed) > 8
    assert set(table) == set(listed)


@pytest.mark.parametrize("link", re.findall(r"\]\((docs/[^)]+)\)", README))
def test_links_into_the_repository_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_makefile_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (\w[\w-]*)", README)):
        assert re.search(rf"^{target}:", makefile, re.M), target
