"""A full disk: a PonderError that names the file and the free space; what was there stays."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.errors import PonderError
from ponder.runlog import (
    CheckpointStore,
    MetricsWriter,
    RunFolder,
    read_json,
    read_metrics,
    write_json_atomic,
    write_rollouts,
)
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

_SIZE = 2 * 2**20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small file system here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def _group() -> Group:
    noise = os.urandom(3_000_000).hex()
    rollout = Rollout(
        Completion("a", 0, [1], noise, [-1.0], "stop"), Judgement(Verdict.CORRECT), {}, 1.0
    )
    return Group(Problem("a", "q", "1"), Prompt("a", "q", (1,)), [rollout])


def _write_many(writer: MetricsWriter) -> None:
    for step in range(1, 1000):
        writer.write(step, {f"a/{index}": 0.1 for index in range(50)})


def test_metrics(small: Path) -> None:
    path = small / "metrics.jsonl"
    with MetricsWriter(path) as writer:
        writer.write(0, {"loss/kl": 0.5})
        _fill(small)
        with pytest.raises(PonderError, match=r"metrics\.jsonl.*0\.0 MiB free"):
            _write_many(writer)
        rows = read_metrics(path)
        assert [row["step"] for row in rows] == list(range(len(rows)))
        assert path.read_bytes().endswith(b"}\n")
        (small / "filler").unlink()
        writer.write(len(rows), {"loss/kl": 0.25})
    assert read_metrics(path)[-1] == {"step": len(rows), "loss/kl": 0.25}


def test_atomic_files(small: Path) -> None:
    path = small / "summary.json"
    write_json_atomic(path, {"a": 1})
    _fill(small)
    with pytest.raises(PonderError, match=r"summary\.json.*no space left"):
        write_json_atomic(path, {"a": "x" * _SIZE})
    assert read_json(path) == {"a": 1}
    with pytest.raises(PonderError, match=r"step_000007\.jsonl\.zst.*no space left"):
        write_rollouts(small, 7, [_group()])
    assert sorted(item.name for item in small.iterdir()) == ["filler", "summary.json"]


def test_checkpoints(small: Path) -> None:
    store = CheckpointStore(small / "checkpoints", keep=2)

    def small_enough(folder: Path) -> None:
        (folder / "w").write_bytes(b"w")

    def as_os_error(folder: Path) -> None:
        (folder / "w").write_bytes(b"x" * _SIZE)

    def as_torch_says_it(folder: Path) -> None:
        try:
            as_os_error(folder)
        except OSError:
            raise RuntimeError("PytorchStreamWriter failed writing file data/0") from None

    first = store.save(1, small_enough)
    for writer in (as_os_error, as_torch_says_it):
        with pytest.raises(PonderError, match=r"checkpoints.*no space left.*resume the run"):
            store.save(2, writer)
        assert [path.name for path in store.folder.iterdir()] == ["step_000001"]
        store.verify(first)


def test_no_room_even_for_a_run_folder(small: Path) -> None:
    _fill(small)
    with pytest.raises(PonderError, match="no space left"):
        RunFolder.create(small / "run", "x = 1\n" * 10_000)


_LIMITED = """
import resource, sys
from pathlib import Path
from ponder.errors import PonderError
from ponder.runlog import write_json_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_json_atomic(Path(sys.argv[1]), "x" * 5000)
except PonderError as error:
    print(error)
"""


def test_a_limit_on_file_size(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json_atomic(path, "before")
    result = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    assert "summary.json" in result.stdout
    assert "no space left" in result.stdout
    assert read_json(path) == "before"
    assert [item.name for item in tmp_path.iterdir()] == ["summary.json"]


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no sysfs here")
def test_a_folder_that_may_not_be_written() -> None:
    with pytest.raises(PonderError, match="cannot write here"):
        write_json_atomic(Path("/sys/kernel/summary.json"), {})
