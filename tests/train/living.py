"""Runs in processes that are killed at chosen moments, and what they must leave all the same."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.lives import Forker
from tests.rows import comparable

from ponder.config.recipes import to_toml
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.runlog import CheckpointStore

Moment = Callable[[Path], bool]


class Lives(Forker):
    """Training processes, one after the other; see lives.py."""

    def __init__(self, config: RLConfig | SFTConfig, folder: Path) -> None:
        (folder / "config.toml").write_text(to_toml(config))
        super().__init__(Path(__file__).with_name("lives.py"), [str(folder / "config.toml")])

    def live(self, path: Path, moment: Moment = lambda path: False) -> int:
        """Run until the end or until ``moment(path)``, then kill -9; the wait status."""
        return self.fork(str(path), lambda: moment(path))


def live_through(lives: Lives, path: Path, moments: Sequence[Moment]) -> None:
    """Kill the run at each moment (once at least), resume it each time, and let it end."""
    num_killed = 0
    for moment in moments:
        num_killed += lives.live(path, moment) == signal.SIGKILL
        if (path / "summary.json").exists():
            break
    else:
        assert lives.live(path) == 0
    assert num_killed >= 1


def after(seconds: float) -> Moment:
    """A moment so long after the run folder has appeared."""
    began: list[float] = []

    def reached(path: Path) -> bool:
        if not began and (path / "lock").exists():
            began.append(time.monotonic())
        return bool(began) and time.monotonic() - began[0] > seconds

    return reached


def there(pattern: str) -> Moment:
    """The moment in which a file or folder exists."""
    return lambda path: next(path.glob(pattern), None) is not None


def last_checkpoint(path: Path) -> Path:
    """The newest checkpoint of a run folder."""
    last = CheckpointStore(path / "checkpoints").latest()
    assert last is not None
    return last


def contents(path: Path) -> dict[str, Any]:
    """What every run leaves, without the clock."""
    last = last_checkpoint(path)
    state = json.loads((last / "trainer_state.json").read_text())
    summary = json.loads((path / "summary.json").read_text())
    return {
        "metrics": comparable(path),
        "evals": {p.name: p.read_bytes() for p in (path / "evals").iterdir()},
        "checkpoints": sorted(p.name for p in (path / "checkpoints").iterdir()),
        "weights": (last / "model.safetensors").read_bytes(),
        "state": {k: v for k, v in state.items() if k != "seconds"},
        "summary": {k: v for k, v in summary.items() if k != "seconds"},
    }
