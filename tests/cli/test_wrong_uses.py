"""Ten wrong uses: each is one line with the fix, exit code 2, and no traceback.

``main`` is called in this process: a traceback would be an exception that fails the test.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ponder.cli.main import main
from ponder.config.recipes import load_recipe, to_toml
from ponder.config.rl import RLConfig
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.runlog.folder import RunFolder
from ponder.train.rl.loop import train

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random model and its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    save_model(*make_tiny_model(0), folder)
    return folder


@pytest.fixture
def settings(model: Path, tmp_path: Path) -> list[str]:
    """The settings of a run that takes a second, in its own folder."""
    rows = [{"question": f"What is {n} + 1?", "answer": n + 1} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return [
        f"model={model}",
        f"out={tmp_path / 'run'}",
        f"problems.path={tmp_path / 'rows.jsonl'}",
        "template.name=plain",
        "sampling.max_completion_tokens=8",
        "batch.prompts_per_step=2",
        "batch.group_size=2",
        "eval.num_problems=0",
        "checkpoint.every=1",
        "steps=2",
        "threads=1",
        "device=cpu",
    ]


@pytest.fixture
def interrupted(settings: list[str]) -> RunFolder:
    """A run that was stopped after its first step of two."""
    config = load_recipe("zero-tiny", settings).config
    assert isinstance(config, RLConfig)
    assert config.out is not None
    folder = RunFolder.create(config.out, to_toml(config))
    asked = iter([False, True])
    train(config, folder, should_stop=lambda: next(asked))
    return folder


def plain_less(settings: list[str]) -> list[str]:
    """The settings without the one of the template."""
    return [word for word in settings if not word.startswith("template.")]


def complaint(capsys: Capture, *arguments: str) -> str:
    """The one line that ``ponder ARGUMENTS`` answers with."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def test_unknown_key(capsys: Capture, settings: list[str], tmp_path: Path) -> None:
    line = complaint(capsys, "train", "zero-tiny", *settings, "optimiser.learning_rate=1e-5")
    assert line.startswith("error: optimiser.learning_rate = '1e-5': unknown key")
    assert "did you mean optimizer.learning_rate?" in line
    recipe = tmp_path / "mine.toml"
    recipe.write_text('extends = "zero-tiny"\n[sampling]\ntemprature = 0.7\n')
    line = complaint(capsys, "train", str(recipe))
    assert "sampling.temprature = 0.7: unknown key; did you mean sampling.temperature?" in line
    assert "(from recipe mine)" in line


def test_bad_value(capsys: Capture, settings: list[str]) -> None:
    line = complaint(capsys, "train", "zero-tiny", *settings, "optimizer.learning_rate=-1")
    assert "optimizer.learning_rate = -1: must be greater than 0" in line
    line = complaint(capsys, "train", "zero-tiny", *settings, "algorithm.loss=ppo")
    assert "algorithm.loss = 'ppo': must be 'grpo', 'dapo'," in line
    line = complaint(capsys, "eval", "base-tiny", "--problems", "gcd", "--top-p", "1.5")
    assert "--top-p = 1.5: must be above 0 and at most 1" in line


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_that_are_none(capsys: Capture, settings: list[str], value: str) -> None:
    for key in ("reward.accuracy", "optimizer.learning_rate", "sampling.temperature"):
        line = complaint(capsys, "train", "zero-tiny", *settings, f"{key}={value}")
        assert f"{key} = {value}: must be a finite number" in line
    line = complaint(capsys, "eval", "base-tiny", "--problems", "gcd", f"--temperature={value}")
    assert "--temperature" in line


def test_a_place_that_cannot_be(capsys: Capture, settings: list[str], tmp_path: Path) -> None:
    for place in ("/proc/ponder/run", str(tmp_path / ("x" * 300))):
        others = [word for word in settings if not word.startswith("out=")]
        line = complaint(capsys, "train", "zero-tiny", *others, f"out={place}")
        assert "a folder cannot be made here" in line
    line = complaint(capsys, "eval", "x", "--problems", "gcd", "--json", str(tmp_path))
    assert "this is a folder; name a file in it" in line


def test_missing_file(capsys: Capture, settings: list[str], tmp_path: Path, model: Path) -> None:
    missing = str(tmp_path / "none.jsonl")
    line = complaint(capsys, "train", "zero-tiny", *settings[:2], f"problems.path={missing}")
    assert f"problems.path = '{missing}': there is no such file" in line
    assert not (tmp_path / "run").exists()
    line = complaint(capsys, "eval", str(model), "--problems", missing)
    assert "there is no such file" in line
    line = complaint(capsys, "train", str(tmp_path / "none.toml"))
    assert "no such recipe or .toml file; there are base-" in line
    line = complaint(capsys, "report", str(tmp_path / "none"))
    assert "there is no such folder" in line
    line = complaint(capsys, "train", "--resume", str(tmp_path))
    assert "this is not a run folder (it has no config.toml)" in line
    line = complaint(capsys, "chat", str(tmp_path / "none"))
    assert "no such folder; check the path" in line


def test_task_that_does_not_exist(capsys: Capture, settings: list[str], model: Path) -> None:
    line = complaint(capsys, "train", "zero-tiny", *settings[:2], "problems.task=chain_sun")
    assert "problems.task = 'chain_sun': " in line
    assert "chain_sum" in line.partition("'chain_sun'")[2]
    line = complaint(capsys, "eval", str(model), "--problems", "chain_sum:min_term=3")
    assert "problems.settings.min_term = 3: " in line
    assert "min_terms" in line


def test_model_without_a_tokenizer(
    capsys: Capture, settings: list[str], model: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(model / name, bare)
    line = complaint(capsys, "train", "zero-tiny", *settings[1:], f"model={bare}")
    assert f"model = '{bare}': no tokenizer in this folder; save the model's tokenizer" in line
    assert "no tokenizer in this folder" in complaint(capsys, "chat", str(bare))


def test_model_without_a_chat_template(capsys: Capture, settings: list[str]) -> None:
    line = complaint(capsys, "train", "zero-tiny", *plain_less(settings), "template.name=chat")
    assert "template.name = 'chat': this model has no chat template; use" in line


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB: too small for the model."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small file system here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_disk_full(capsys: Capture, settings: list[str], tiny_disk: Path) -> None:
    out = f"out={tiny_disk / 'run'}"
    line = complaint(capsys, "train", "zero-tiny", settings[0], out, *settings[2:])
    assert f"error: disk = '{tiny_disk}" in line
    assert "no space left" in line
    assert "free some space" in line


def test_disk_full_by_quota(capsys: Capture, settings: list[str]) -> None:
    """A limit on the size of files is met in the same way, and needs no root to test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 * 1024, hard))
    try:
        line = complaint(capsys, "train", "zero-tiny", *settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "error: disk = " in line
    assert "free some space (or raise the quota)" in line


@pytest.mark.parametrize("file", ["model.safetensors", "trainer_state.pt", "config.json"])
def test_corrupt_checkpoint(capsys: Capture, interrupted: RunFolder, file: str) -> None:
    path = interrupted.checkpoints_dir / "step_000001" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    for command in (["train", "--resume"], ["chat"]):
        line = complaint(capsys, *command, str(interrupted.path))
        assert f"checkpoint = '{path}'"[:60] in line
        assert "to resume from the previous checkpoint" in line


def test_group_size_that_does_not_divide(capsys: Capture, settings: list[str]) -> None:
    line = complaint(capsys, "train", "zero-tiny", *settings, "batch.minibatches=3")
    assert "batch.prompts_per_step = 2: must be a multiple of batch.minibatches (3)" in line
    line = complaint(capsys, "train", "zero-tiny", *settings[:6], "batch.group_size=1")
    assert "batch.group_size = 1: must be greater than or equal to 2" in line


def test_two_runs_in_one_folder(
    capsys: Capture, interrupted: RunFolder, settings: list[str]
) -> None:
    line = complaint(capsys, "train", "zero-tiny", *settings)
    assert "already holds a run; resume it, or name another folder" in line
    before = sorted(path.name for path in interrupted.path.iterdir())
    with interrupted.lock():
        line = complaint(capsys, "train", "--resume", str(interrupted.path))
    assert str(interrupted.path) in line
    assert sorted(path.name for path in interrupted.path.iterdir()) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_where_there_is_none(
    capsys: Capture, settings: list[str], model: Path, tmp_path: Path
) -> None:
    line = complaint(capsys, "train", "zero-tiny", *settings[:-1], "device=cuda")
    assert "device = 'cuda': there is no CUDA device here; use" in line
    assert not (tmp_path / "run").exists()
    line = complaint(capsys, "chat", str(model), "--device", "cuda")
    assert "device = 'cuda': there is no CUDA device here" in line


def test_a_mended_mistake_may_use_the_same_folder(
    capsys: Capture, settings: list[str], tmp_path: Path
) -> None:
    """What a failed start left does not stand in the way, in a new folder or an old one."""
    for made_before in (False, True):
        out = tmp_path / f"again-{made_before}"
        if made_before:
            out.mkdir()
            (out / "notes.txt").write_text("mine")
        now = [f"out={out}" if word.startswith("out=") else word for word in settings]
        complaint(capsys, "train", "zero-tiny", *plain_less(now), "template.name=chat")
        assert main(["train", "zero-tiny", *now]) == 0
        assert (out / "report.html").exists()
        assert (out / "notes.txt").exists() == made_before


def test_the_exit_code_reaches_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ponder.cli.main", "train", "zero-tiny", "sed=1"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "error: sed = '1': unknown key; did you mean seed?\n"


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("ascii", ["eval", "--problems=gcd", "--num-problems=2", "--k=1"]),
        ("utf-8:surrogateescape", ["chat"]),
    ],
)
def test_text_that_an_encoding_does_not_know(
    encoding: str, arguments: list[str], model: Path
) -> None:
    """An old terminal that has no ±; a pipe with bytes that are no text."""
    options = ["--max-completion-tokens=4", "--template=plain", "--temperature=5", "--device=cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "ponder.cli.main", *arguments, str(model), *options],
        input=b"caf\xff \xc3\xa9?\n",
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len(done.stdout.splitlines()) >= 1
