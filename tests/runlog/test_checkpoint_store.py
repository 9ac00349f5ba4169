import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.errors import PonderError
from ponder.runlog import CheckpointStore
from ponder.runlog.checkpoint import checkpoint_step


def _writer(content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").write_text(content)
        (folder / "tokenizer").mkdir()
        (folder / "tokenizer" / "vocab.json").write_text("{}")

    return write


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_lists_its_files(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints", keep=2)
    path = store.save(10, _writer("weights"))
    assert path == tmp_path / "checkpoints" / "step_000010" == store.latest()
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["step"] == 10
    assert manifest["complete"] is True
    assert sorted(manifest["files"]) == ["model.safetensors", "tokenizer/vocab.json"]
    assert manifest["files"]["model.safetensors"] == {
        "size": 7,
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    store.verify(path)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for step in (9, 10, 100_000, 1_000_000):
        store.save(step, _writer(str(step)))
    assert _names(tmp_path) == ["step_100000", "step_1000000"]
    latest = store.latest()
    assert latest is not None
    assert checkpoint_step(latest) == 1_000_000


def test_no_checkpoint(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "none", keep=1).latest() is None


def test_incomplete_ones_are_ignored_and_cleaned(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=5)
    first = store.save(1, _writer("a"))
    (tmp_path / "step_000002").mkdir()
    (tmp_path / "step_000002" / "model.safetensors").write_text("half")
    (tmp_path / "step_000003").mkdir()
    (tmp_path / "step_000003" / "manifest.json").write_text('{"step": 3, "comp')
    (tmp_path / ".tmp_step_000004").mkdir()
    (tmp_path / "my notes").mkdir()
    assert store.latest() == first
    store.save(2, _writer("b"))
    assert _names(tmp_path) == ["my notes", "step_000001", "step_000002"]


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    store.save(1, _writer("weights"))
    path = store.save(2, _writer("weights"))
    file = path / "model.safetensors"
    if damage == "gone":
        file.unlink()
    else:
        file.write_text("Weights" if damage == "changed" else "weig")
    with pytest.raises(PonderError, match=r"step_000002/model\.safetensors.*delete the folder"):
        store.verify(path)
    store.verify(tmp_path / "step_000001")


def test_verify_of_an_incomplete_folder(tmp_path: Path) -> None:
    (tmp_path / "step_000001").mkdir()
    with pytest.raises(PonderError, match=r"no complete manifest\.json"):
        CheckpointStore(tmp_path, keep=1).verify(tmp_path / "step_000001")


def test_a_step_can_be_saved_again(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(3, _writer("old"))
    path = store.save(3, _writer("new"))
    assert (path / "model.safetensors").read_text() == "new"
    assert _names(tmp_path) == ["step_000003"]


def test_killed_between_the_two_renames_of_a_replacement(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    aside = tmp_path / ".old_step_000003"
    store.save(3, _writer("old")).rename(aside)
    assert store.latest() == aside
    store.verify(aside)
    store.clean()
    assert store.latest() == aside
    store.save(4, _writer("new"))
    assert _names(tmp_path) == ["step_000004"]


def test_a_failing_writer_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(1, _writer("a"))

    def fail(folder: Path) -> None:
        (folder / "model.safetensors").write_text("half")
        raise RuntimeError("no such tensor")

    with pytest.raises(RuntimeError, match="no such tensor"):
        store.save(2, fail)
    assert _names(tmp_path) == ["step_000001"]


def test_saving_behind_a_newer_one_is_refused(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(20, _writer("a"))
    with pytest.raises(PonderError, match="newer than step 10"):
        store.save(10, _writer("b"))


def test_keep_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match=r"checkpoint\.keep"):
        CheckpointStore(tmp_path, keep=0)
