"""What the tests of `ponder train` share, whatever is trained."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from ponder.cli.frame import Frame
from ponder.cli.live import PlainWatch
from ponder.cli.main import main
from ponder.cli.watch import Watch
from ponder.train.observer import RunInfo

Capture = pytest.CaptureFixture[str]


def interrupt(words: Sequence[str], path: Path, beginning: str) -> str:
    """`ponder train WORDS` into ``path`` with Ctrl-C at the line that begins so; what came after.

    It must have left an unfinished run, and have said how to resume it.
    """
    command = [sys.executable, "-m", "ponder.cli.main", "train", *words, f"out={path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(beginning):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
    assert process.returncode == 130
    assert f"ponder train --resume {path}" in rest
    assert not (path / "summary.json").exists()
    return rest


def check_mistake(words: Sequence[str], said: str, folder: Path, capsys: Capture) -> None:
    """`ponder train WORDS` in ``folder``, the current one: one line of error, and no run folder."""
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(folder.glob("runs/*"))


def views_of(info: RunInfo, row: Mapping[str, float]) -> tuple[list[str], str]:
    """A first step: the frames that both views draw, and the lines of the plain one."""
    lines, frames = io.StringIO(), []
    for watch in (Watch(), PlainWatch(Console(file=lines, width=200))):
        watch.on_start(info)
        watch.on_step(0, row, ())
        drawn = io.StringIO()
        Console(file=drawn, width=100, height=30).print(Frame(watch))
        frames.append(drawn.getvalue())
    return frames, lines.getvalue()
