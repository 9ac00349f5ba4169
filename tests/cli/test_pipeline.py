"""`ponder pipeline`: what it prints, what it refuses, what its view shows. No model."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import pytest
from rich.console import Console
from tests.pipeline.fakes import KINDS, RECIPE

from ponder.cli import pipeline as command
from ponder.cli.main import main
from ponder.cli.pipeline_watch import PipelineWatch
from ponder.pipeline.words import size_text


@pytest.fixture(autouse=True)
def _fake_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in KINDS.items():
        monkeypatch.setitem(command.KINDS, name, kind)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "p.toml"
    path.write_text(RECIPE)
    return path


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_run_then_status(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["pipeline", "run", str(recipe), "--out", str(run)]) == 0
    said = capsys.readouterr().out
    assert "zero   grow           1 of 4  3 steps\n" in said
    assert "  3/3  value 3.0" in said
    assert f"status  ponder pipeline status {run}" in said
    assert main(["pipeline", "status", str(run)]) == 0
    table = lines(capsys)
    assert " ".join(table[0]) == "stage kind state key time size why it would run"
    assert [row[:3] for row in table[1:]] == [
        ["zero", "grow", "done"],
        ["cold", "write", "done"],
        ["dev", "grow", "done"],
        ["table", "measure", "done"],
    ]
    assert {len(row) for row in table[1:]} == {7}, "nothing to say of what is done"


def test_a_folder_goes_on_with_its_own_settings(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["pipeline", "run", str(recipe), "zero.steps=2", "--out", str(run)]) == 0
    assert main(["pipeline", "run", str(run)]) == 0
    assert capsys.readouterr().out.count("done before") == 4
    assert main(["pipeline", "run", str(run), "cold.num_rows=2", "--prune"]) == 0
    said = capsys.readouterr().out
    assert said.count("done before") == 1
    assert "num_rows 4 -> 2" in said
    assert "pruned" in said


def test_dry_run(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["pipeline", "run", str(recipe), "--out", str(run), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "zero, dev" in said
    assert "to do: 4 of 4 stages; time 0:07; disk 3.9 KiB; peak memory 1.0 MiB" in said
    assert not run.exists()
    main(["pipeline", "run", str(recipe), "--out", str(run)])
    capsys.readouterr()
    assert main(["pipeline", "run", str(run), "--dry-run"]) == 0
    assert "everything is done" in capsys.readouterr().out
    assert main(["pipeline", "run", str(run), "--dry-run", "--from", "dev"]) == 0
    said = capsys.readouterr().out
    assert "--from dev" in said
    assert "of 4 stages" in said
    assert not any(line.startswith(("zero", "cold")) for line in said.splitlines())
    assert any(line.startswith("dev") for line in said.splitlines())
    assert main(["pipeline", "run", str(recipe), "--dry-run", "--only", "zero"]) == 0
    said = capsys.readouterr().out
    assert "to do: 1 of 4 stages" in said
    assert not any(line.startswith(("dev", "cold")) for line in said.splitlines())
    assert main(["pipeline", "run", str(run), "--dry-run", "--only", "dev"]) == 0
    assert "everything is done" in capsys.readouterr().out


def test_a_failure_says_how_to_go_on(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["pipeline", "run", str(recipe), "dev.fault=oh", "--out", str(run)]) == 2
    told = capsys.readouterr()
    assert told.err == "error: stages.dev.rate = 1.0: oh\n"
    assert f"go on   ponder pipeline run {run}" in told.out
    assert main(["pipeline", "status", str(run)]) == 0
    assert "failed" in capsys.readouterr().out
    assert main(["pipeline", "run", str(run), "dev.fault=", "cold.waits=true"]) == 2
    assert "when that is done" in capsys.readouterr().out
    assert main(["pipeline", "run", str(run), "--yes"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "RECIPE", "--from", "colt"], "--from = 'colt': no such stage; did you mean cold?"),
        (["run", "RECIPE", "--only", "cold"], "stages.cold.inputs.model"),
        (["run", "RECIPE", "zero.setps=3"], "stages.zero.setps = '3': unknown key; did you mean"),
        (["run", "nothing"], "recipe = 'nothing': no such recipe"),
        (["run", "zero-tiny"], "kind = 'rl': not a pipeline"),
        (["run", "FOLDER"], "it has no pipeline.toml"),
        (["status", "FOLDER"], "it has no pipeline.toml"),
        (["run", "RECIPE", "--out", "RECIPE"], "is a file; name a folder"),
    ],
)
def test_mistakes(
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {"RECIPE": str(recipe), "FOLDER": str(tmp_path)}
    assert main(["pipeline", *(words.get(word, word) for word in arguments)]) == 2
    assert told in capsys.readouterr().err


def test_ctrl_c_stops_between_steps(
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    progress = PipelineWatch.progress

    def interrupted(self: PipelineWatch, done: int, total: int, text: str) -> None:
        progress(self, done, total, text)
        if text == "value 1.0":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(PipelineWatch, "progress", interrupted)
    assert main(["pipeline", "run", str(recipe), "--out", str(run)]) == 130
    said = capsys.readouterr().out
    assert "stopping as soon as all is on the disk" in said
    assert f"go on   ponder pipeline run {run}" in said
    assert main(["pipeline", "run", str(run)]) == 0
    assert "goes on from where it was" in capsys.readouterr().out


def test_the_view_on_a_terminal_reads_nothing_as_markup() -> None:
    out = Console(file=io.StringIO(), force_terminal=True, width=80)
    watch = PipelineWatch(out)
    watch.note("a [bold]note\x1b")
    watch.progress(1, 3, "[red]rows[/red]")
    watch.progress(2, 3, "[red]rows[/red]")
    watch.close()
    assert isinstance(out.file, io.StringIO)
    said = out.file.getvalue()
    assert "a [bold]note\\x1b" in said
    assert "[red]rows[/red]" in said


def test_a_long_note_is_parted_between_words_on_a_terminal_alone() -> None:
    text = "seven words " * 20
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80)
    PipelineWatch(terminal).note(text)
    pipe = Console(file=io.StringIO(), width=80)
    PipelineWatch(pipe).note(text)
    assert isinstance(terminal.file, io.StringIO)
    assert isinstance(pipe.file, io.StringIO)
    lines = terminal.file.getvalue().splitlines()
    assert len(lines) > 1
    assert lines[0].startswith("  note: seven words")
    assert all(line.startswith(" " * 8) and len(line.rstrip()) <= 80 for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == f"note: {text.strip()}"
    assert pipe.file.getvalue() == f"  note: {text.strip()}\n"


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**41, "2.0 TiB")],
)
def test_sizes(size: float | None, text: str) -> None:
    assert size_text(size) == text
