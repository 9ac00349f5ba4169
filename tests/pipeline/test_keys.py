"""Keys: the same in every process, and another for every part that outputs follow from."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.pipeline.fakes import KINDS, RECIPE, graph_of, with_code

from ponder.config.pipeline import load_pipeline
from ponder.errors import PonderError
from ponder.pipeline import digests, stages
from ponder.pipeline.graph import build_graph
from ponder.pipeline.keys import Parts, all_parts, check_unchanged, differences

SCRIPT = """
import sys
from pathlib import Path
from ponder.pipeline.keys import all_parts
from tests.pipeline.fakes import graph_of
print({n: p.key for n, p in all_parts(graph_of(Path(sys.argv[1]))).items()})
"""


def keys_of(path: Path, text: str = RECIPE, *overrides: str) -> dict[str, str]:
    return {n: p.key for n, p in all_parts(graph_of(path / "p.toml", text, overrides)).items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after.get(name)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "rows.jsonl"
    path.parent.mkdir()
    path.write_text('{"a": 1}\n')
    return path


def test_keys_are_the_same_in_every_process(tmp_path: Path) -> None:
    here = keys_of(tmp_path)
    for seed in ("0", "1"):
        there = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "q.toml")],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        assert there.stdout.strip() == str(here)


def test_a_setting_changes_the_stage_and_what_follows_it(tmp_path: Path) -> None:
    before = keys_of(tmp_path)
    assert len(set(before.values())) == 4
    assert changed(before, keys_of(tmp_path, RECIPE, "cold.num_rows=5")) == {"cold", "dev", "table"}
    assert changed(before, keys_of(tmp_path, RECIPE, "zero.rate=2")) == set(before)
    assert changed(before, keys_of(tmp_path, RECIPE, "zero.steps=3")) == set(), "as it was"


def test_a_new_knob_changes_only_the_code(tmp_path: Path) -> None:
    class Newer(KINDS["grow"].config_class):  # type: ignore[misc, name-defined]
        speed: int = 7
        """A knob that an older version did not have."""

    def parts(*overrides: str) -> dict[str, Parts]:
        kinds = KINDS | {"grow": replace(KINDS["grow"], config_class=Newer)}
        (tmp_path / "p.toml").write_text(RECIPE)
        return all_parts(build_graph(load_pipeline(tmp_path / "p.toml", overrides), kinds))

    before = all_parts(graph_of(tmp_path / "p.toml"))
    assert {n: p.key for n, p in parts().items()} == {n: p.key for n, p in before.items()}
    assert parts("zero.speed=8")["zero"].key != before["zero"].key
    assert "ponder.config" in before["zero"].code, "where a changed default is seen"


def test_what_changes_no_output_is_not_hashed(tmp_path: Path) -> None:
    recipe = (
        'kind = "pipeline"\nname = "p"\n[stages.zero]\nkind = "rl"\nproblems.task = "products"\n'
    )
    (tmp_path / "p.toml").write_text(recipe)

    def key(*overrides: str) -> str:
        graph = build_graph(load_pipeline(tmp_path / "p.toml", overrides), stages.KINDS)
        return all_parts(graph)["zero"].key

    assert {key("zero.checkpoint.every=3"), key("zero.log.tensorboard=true")} == {key()}
    judge = 'zero.judge={url = "http://x/v1", model = "m"'
    assert key(judge + ', cache = "here"}') == key(judge + "}") != key()
    assert key(judge + ", attempts = 9}") != key(judge + "}"), "what stands beside it counts"


def test_names_and_places_do_not_change_a_key(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    before = keys_of(tmp_path)
    assert keys_of(tmp_path / "other", RECIPE, "name=x", "zero.name=y", "zero.out=z") == before
    renamed = keys_of(tmp_path, RECIPE.replace("zero", "first"))
    assert renamed["first"] == before["zero"]


def test_another_input_changes_the_key(tmp_path: Path) -> None:
    before = keys_of(tmp_path)
    text = RECIPE.replace('["zero", "dev"]', '["dev", "zero"]')
    assert changed(before, keys_of(tmp_path, text)) == {"table"}, "order counts"
    text = RECIPE.replace('model = "zero", rows = "cold"', 'rows = "cold"')
    assert changed(before, keys_of(tmp_path, text)) == {"dev", "table"}


def test_the_content_of_a_file_counts(tmp_path: Path, data: Path) -> None:
    text = RECIPE.replace('rows = "cold"', f'rows = "{data}"')
    before = keys_of(tmp_path, text)
    stat = data.stat()
    data.write_text('{"a": 2}\n')
    os.utime(data, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert changed(before, keys_of(tmp_path, text)) == {"dev", "table"}
    data.write_text('{"a": 1}\n')
    assert keys_of(tmp_path, text) == before


def test_a_file_that_the_config_names_counts(tmp_path: Path, data: Path) -> None:
    override = f"zero.data={data}"
    graph = graph_of(tmp_path / "p.toml", RECIPE, (override,))
    before = all_parts(graph)
    assert list(before["zero"].files) == ["data"]
    moved = data.with_name("moved.jsonl")
    moved.write_text('{"a": 1}\n')
    graph_of_moved = graph_of(tmp_path / "p.toml", RECIPE, (f"zero.data={moved}",))
    assert all_parts(graph_of_moved) == before, "by its content, not by its place"
    data.write_text('{"a": 3333}\n')
    after = all_parts(graph)
    assert differences(before["zero"], after["zero"]) == ["file of data changed"]
    with pytest.raises(PonderError, match="changed while the pipeline ran") as caught:
        check_unchanged(graph.stages["zero"], before["zero"])
    assert caught.value.field == "stages.zero.data"
    data.unlink()
    with pytest.raises(PonderError, match="no such file") as caught:
        all_parts(graph)
    assert caught.value.field == "stages.zero.data"


def test_a_folder_counts_with_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("1")
    before = digests.digest_path(tmp_path)
    (tmp_path / "a").rename(tmp_path / "sub" / "a")
    moved = digests.digest_path(tmp_path)
    (tmp_path / "sub" / "a").write_text("22")
    assert len({before, moved, digests.digest_path(tmp_path)}) == 3


def test_the_source_of_a_kind_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with all its modules; another kind's key stays what it was."""
    package = tmp_path / "some_stage_code"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('hashing must not import')\n")
    (package / "deep" / "part.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "p.toml").write_text(RECIPE)
    kinds = with_code(KINDS, write=("some_stage_code",))
    graph = build_graph(load_pipeline(tmp_path / "p.toml"), kinds)
    before = all_parts(graph)
    (package / "deep" / "part.py").write_text("a = 2\n")
    digests._digest_source.cache_clear()
    after = all_parts(graph)
    told = differences(before["cold"], after["cold"])
    assert told == ["code of some_stage_code changed"]
    assert [before[n].key == after[n].key for n in before] == [True, False, False, False]
    codes = {"cold": before["cold"].code}
    assert all_parts(graph, codes) == before, "older code taken for granted"


def test_a_package_without_its_subpackages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shared_code"
    (package / "deep").mkdir(parents=True)
    for name in ("__init__.py", "near.py", "deep/__init__.py"):
        (package / name).write_text("a = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def found() -> list[str]:
        digests._digest_source.cache_clear()
        return list(digests.digest_code(["shared_code", "shared_code.*"]).values())

    before = found()
    (package / "deep" / "__init__.py").write_text("a = 2\n")
    deeper = found()
    assert [a == b for a, b in zip(before, deeper, strict=True)] == [False, True]
    (package / "near.py").write_text("a = 2\n")
    assert found()[1] != deeper[1]
    (package / "deep" / "kernel.cpp").write_text("int a = 1;")
    native = found()
    (package / "deep" / "kernel.cpp").write_text("int a = 2;")
    assert [a == b for a, b in zip(native, found(), strict=True)] == [False, True]


def test_differences_are_told_in_words(tmp_path: Path) -> None:
    before = all_parts(graph_of(tmp_path / "p.toml"))
    after = all_parts(graph_of(tmp_path / "p.toml", RECIPE, ("zero.rate=2", "zero.steps=5")))
    assert differences(before["zero"], after["zero"]) == ["rate 1.0 -> 2.0", "steps 3 -> 5"]
    assert differences(before["cold"], after["cold"]) == ["input model changed"]
    many = ("zero.rate=2", "zero.steps=5", "zero.seed=4", "zero.start=1")
    after = all_parts(graph_of(tmp_path / "p.toml", RECIPE, many))
    told = differences(before["zero"], after["zero"])
    assert told[-1] == "and 2 more"
    assert len(told) == 3


@pytest.mark.parametrize("kind", stages.KINDS)
def test_every_kind_notices_a_change_of_its_own_module(kind: str) -> None:
    assert stages.KINDS[kind].run.__module__ in stages.KINDS[kind].code


@pytest.mark.parametrize("kind", ["cold_start", "reject", "distil"])
def test_how_many_are_sampled_together_is_no_part_of_the_key(kind: str) -> None:
    assert "chunk_problems" in stages.KINDS[kind].unhashed
