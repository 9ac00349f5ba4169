"""What SPEC and MODEL mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.cli.specs import choose_model, parse_problems
from ponder.config.recipes import load_recipe, to_toml
from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.runlog.checkpoint import CheckpointStore
from ponder.runlog.folder import RunFolder


@pytest.mark.parametrize(
    ("spec", "config"),
    [
        ("gcd", ProblemsConfig(task="gcd")),
        (
            "chain_sum:min_terms=3,max_terms=4",
            ProblemsConfig(task="chain_sum", settings={"min_terms": 3, "max_terms": 4}),
        ),
        ("t:a=[1,2],b='x'", ProblemsConfig(task="t", settings={"a": [1, 2], "b": "x"})),
        ("t:a=word,b=true", ProblemsConfig(task="t", settings={"a": "word", "b": True})),
        ("gsm8k", ProblemsConfig(name="gsm8k")),
        ("gsm8k:path=/data/g", ProblemsConfig(name="gsm8k", path=Path("/data/g"))),
        ("math500:path=/data/m", ProblemsConfig(name="math500", path=Path("/data/m"))),
        ("a.jsonl.gz", ProblemsConfig(path=Path("a.jsonl.gz"))),
        ("hub:a/b", ProblemsConfig(hub="a/b")),
        ("hub:a/b:split=test", ProblemsConfig(hub="a/b", split="test")),
        ("my.jsonl", ProblemsConfig(path=Path("my.jsonl"))),
        (
            "d/my.parquet:question_field=q",
            ProblemsConfig(path=Path("d/my.parquet"), question_field="q"),
        ),
    ],
)
def test_specs(spec: str, config: ProblemsConfig) -> None:
    assert parse_problems(spec) == config


def test_a_folder_is_a_path(tmp_path: Path) -> None:
    assert parse_problems(str(tmp_path)) == ProblemsConfig(path=tmp_path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("chain_sum:min_terms", "write settings as NAME:key=value,key=value"),
        ("my.jsonl:question=q", "unknown key; did you mean question_field?"),
        ("hub:a/b:task=gcd", "give only one of task"),
    ],
)
def test_wrong_specs(spec: str, message: str) -> None:
    with pytest.raises(PonderError) as caught:
        parse_problems(spec)
    assert message in str(caught.value)


def test_a_run_means_its_newest_checkpoint_and_its_config(tmp_path: Path) -> None:
    recipe = load_recipe("zero-tiny", ["seed=7"])
    folder = RunFolder.create(tmp_path / "run", to_toml(recipe.config))
    with pytest.raises(PonderError, match="no checkpoint yet"):
        choose_model(str(folder.path))
    store = CheckpointStore(folder.checkpoints_dir)
    for step in (1, 2):
        store.save(step, lambda path: (path / "weights").write_text("w" * 10) and None)
    choice = choose_model(str(folder.path))
    assert Path(choice.source).name == "step_000002"
    assert choice.config == recipe.config
    first = choose_model(str(folder.checkpoints_dir / "step_000001"))
    assert (Path(first.source).name, first.config) == ("step_000001", recipe.config)
    (Path(choice.source) / "weights").write_text("v" * 10)
    with pytest.raises(PonderError, match="does not have the SHA-256"):
        choose_model(str(folder.path))


def test_a_stage_means_its_run_that_counts_and_a_pipeline_is_told_apart(tmp_path: Path) -> None:
    recipe = load_recipe("zero-tiny")
    folder = RunFolder.create(tmp_path / "stages" / "zero" / "abc", to_toml(recipe.config))
    CheckpointStore(folder.checkpoints_dir).save(
        1, lambda path: (path / "w").write_text("w") and None
    )
    (tmp_path / "stages" / "zero" / "current").write_text("abc\n")
    choice = choose_model(str(tmp_path / "stages" / "zero"))
    assert Path(choice.source) == folder.checkpoints_dir / "step_000001"
    (tmp_path / "pipeline.toml").write_text("")
    with pytest.raises(PonderError, match="name one of its stages"):
        choose_model(str(tmp_path))


def test_anything_else_is_left_to_the_loader(tmp_path: Path) -> None:
    for spec in ("base-tiny", "org/model", str(tmp_path)):
        assert choose_model(spec).source == spec
