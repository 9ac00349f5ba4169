"""Recipes become graphs: settings, inputs, order; and errors that name stage and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pipeline.fakes import RECIPE, GrowConfig, graph_of

from ponder.config.pipeline import load_pipeline
from ponder.errors import PonderError
from ponder.pipeline.graph import Ref, build_graph


def error_of(path: Path, text: str, *overrides: str) -> PonderError:
    with pytest.raises(PonderError) as caught:
        graph_of(path / "p.toml", text, overrides)
    return caught.value


def test_stages_come_after_what_they_need(tmp_path: Path) -> None:
    backwards = "\n".join(
        ["kind = 'pipeline'"] + ["[stages" + part for part in reversed(RECIPE.split("[stages")[1:])]
    )
    graph = graph_of(tmp_path / "p.toml", backwards)
    assert list(graph.stages) == ["zero", "cold", "dev", "table"]
    assert graph.stages["dev"].inputs == {
        "model": (Ref("zero", "model"),),
        "rows": (Ref("cold", "rows"),),
    }
    assert [stage.name for stage in graph.followers("cold")] == ["dev", "table"]


def test_settings_are_laid_over_each_other(tmp_path: Path) -> None:
    (tmp_path / "below.toml").write_text(
        "kind = 'pipeline'\n[common]\nrate = 5.0\nseed = 1\n"
        "[stages.zero]\nkind = 'grow'\nsteps = 9\nstart = 2.0\n"
    )
    text = "extends = 'below.toml'\n[stages.zero]\nsteps = 8\n[stages.b]\nkind = 'grow'\nrate = 7\n"
    graph = graph_of(tmp_path / "p.toml", text, ("b.steps=4", "stages.b.start=3", "common.seed=6"))
    assert graph.stages["zero"].config == GrowConfig(
        name="zero", steps=8, start=2.0, rate=5.0, seed=6
    )
    assert graph.stages["b"].config == GrowConfig(name="b", steps=4, start=3.0, rate=7.0, seed=6)


def test_a_resolved_pipeline_is_a_recipe_with_the_same_stages(tmp_path: Path) -> None:
    graph = graph_of(tmp_path / "p.toml", RECIPE, ("zero.rate=0.1", "name=mine"))
    again = graph_of(tmp_path / "q.toml", graph.to_toml())
    assert again.name == "mine"
    assert {n: (s.config, s.inputs) for n, s in again.stages.items()} == {
        n: (s.config, s.inputs) for n, s in graph.stages.items()
    }


@pytest.mark.parametrize(
    ("change", "field", "told"),
    [
        (('kind = "grow"', 'kind = "glow"'), "stages.zero.kind", "did you mean grow?"),
        (('kind = "grow"\n', ""), "stages.zero.kind", "say what the stage does"),
        (('model = "zero", rows', 'modle = "zero", rows'), "stages.dev.inputs.modle", "model?"),
        (('rows = "cold"', 'rows = "cool"'), "stages.dev.inputs.rows", "did you mean cold?"),
        (('rows = "cold"', 'rows = "zero"'), "stages.dev.inputs.rows", "must be rows, but stage"),
        (('rows = "cold"', 'rows = "cold.x"'), "stages.dev.inputs.rows", "makes no x; it makes"),
        (('{model = "zero"}', "{}"), "stages.cold.inputs.model", "needs this input (model)"),
        (('{model = "zero"}', "{model = []}"), "stages.cold.inputs.model", "needs this input"),
        (('{model = "zero"}', "{model = 3}"), "stages.cold.inputs.model", "name a stage"),
        (
            ('{model = "zero"}', '{model = ["zero", "dev"]}'),
            "stages.cold.inputs.model",
            "takes one",
        ),
        (('inputs = {model = "zero"}', 'inputs = "zero"'), "stages.cold.inputs", "a table"),
        (("steps = 3", "steps = 0"), "stages.zero.steps", "greater than or equal to 1"),
        (("steps = 3", "setps = 3"), "stages.zero.setps", "did you mean steps?"),
        (("steps = 3", 'recipe = "zero-tiny"'), "stages.zero.recipe", "of kind 'rl'"),
        (("[stages.cold]", "[stages.zero]"), "stages.zero", "two stages"),
        (("[stages.cold]", "[stages.Zero]"), "stages.Zero", "would share a folder"),
        (("[stages.cold]", '[stages."a/b"]'), "stages.a/b", "a stage's name is a folder's"),
        (("[stages.zero]", "[common]\nx = 1\n[stages.zero]"), "common.x", "no stage has this key"),
        (("[stages.zero]", "[staegs]\n[stages.zero]"), "staegs", "unknown key"),
        (('kind = "pipeline"', 'kind = "rl"'), "kind", "not a pipeline"),
        (('rows = "cold"', 'rows = "a.jsonl.part"'), "stages.dev.inputs.rows", "no such stage"),
        (('rows = "cold"', 'rows = "./a.part"'), "stages.dev.inputs.rows", "still being written"),
    ],
)
def test_mistakes_name_the_stage_and_the_field(
    tmp_path: Path, change: tuple[str, str], field: str, told: str
) -> None:
    assert change[0] in RECIPE
    error = error_of(tmp_path, RECIPE.replace(*change, 1))
    assert (error.field, told in error.fix) == (field, True), error


def test_a_circle_is_told_as_it_is(tmp_path: Path) -> None:
    text = RECIPE.replace('kind = "grow"\n', 'kind = "grow"\ninputs = {model = "dev"}\n', 1)
    error = error_of(tmp_path, text)
    assert error.field == "stages.zero.inputs"
    assert "zero -> dev -> zero" in error.fix
    alone = RECIPE.replace('kind = "grow"\n', 'kind = "grow"\ninputs = {model = "zero"}\n', 1)
    assert "zero -> zero;" in error_of(tmp_path, alone).fix


def test_settings_of_the_command_line_name_a_stage(tmp_path: Path) -> None:
    assert "did you mean zero.steps?" in error_of(tmp_path, RECIPE, "zeor.steps=3").fix
    assert "STAGE.key=value" in error_of(tmp_path, RECIPE, "steps").fix
    assert error_of(tmp_path, RECIPE, "zero.steps=x").field == "stages.zero.steps"
    assert error_of(tmp_path, RECIPE, "common.x=1").field == "common.x"
    error = error_of(tmp_path, RECIPE, "dev.inputs.rows=cole")
    assert error.field == "stages.dev.inputs.rows"
    assert "did you mean cold?" in error.fix


def test_a_recipe_without_stages_is_refused(tmp_path: Path) -> None:
    assert error_of(tmp_path, "kind = 'pipeline'").field == "stages"


def test_the_kinds_that_ship_resolve_recipes(tmp_path: Path) -> None:
    from ponder.config.rl import RLConfig
    from ponder.pipeline.stages import KINDS as SHIPPED

    (tmp_path / "p.toml").write_text(
        "kind = 'pipeline'\n[common]\nseed = 3\nproblems.task = 'gcd'\n"
        "[stages.zero]\nkind = 'rl'\nrecipe = 'zero-tiny'\nsteps = 2\nbatch.group_size = 4\n"
        "[stages.table]\nkind = 'eval'\ninputs.model = 'zero'\n"
        "[stages.table.benchmarks.gcd]\ntask = 'gcd'\n"
    )
    graph = build_graph(load_pipeline(tmp_path / "p.toml"), SHIPPED)
    config = graph.stages["zero"].config
    assert isinstance(config, RLConfig)
    assert (config.name, config.steps, config.batch.group_size, config.seed) == ("zero", 2, 4, 3)
    assert config.batch.prompts_per_step == 24, "of the recipe"
    assert config.problems.task == "gcd", "common goes before the recipe"
    assert config.problems.settings == {}, "the settings of another task are gone"
    (tmp_path / "q.toml").write_text(graph.to_toml())
    again = build_graph(load_pipeline(tmp_path / "q.toml"), SHIPPED)
    assert [stage.config for stage in again] == [stage.config for stage in graph]
