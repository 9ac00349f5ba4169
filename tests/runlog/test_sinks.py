"""The sinks need extras: what they say without them, and that TensorBoard can read the events."""

import importlib.util
from pathlib import Path

import pytest

from ponder.errors import PonderError
from ponder.runlog import Sink, TensorBoardSink, WandbSink


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


@pytest.mark.skipif(_has("tensorboard"), reason="tensorboard is installed")
def test_tensorboard_missing_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match=r"log\.tensorboard.*ponder\[tensorboard\]"):
        TensorBoardSink(tmp_path)


@pytest.mark.skipif(_has("wandb"), reason="wandb is installed")
def test_wandb_missing_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match=r"log\.wandb_project.*ponder\[wandb\]"):
        WandbSink("project", "run", tmp_path, {}, "id")


@pytest.mark.skipif(not _has("tensorboard"), reason="tensorboard is not installed")
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first: Sink = TensorBoardSink(tmp_path)
    for step in range(4):
        first.write(step, {"loss/kl": step / 4})
    first.close()
    resumed = TensorBoardSink(tmp_path, next_step=2)
    resumed.write(2, {"loss/kl": 9.0})
    resumed.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(item.step, item.value) for item in events.Scalars("loss/kl")] == [
        (0, 0.0),
        (1, 0.25),
        (2, 9.0),
    ]


@pytest.mark.skipif(not _has("wandb"), reason="wandb is not installed")
def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    sink = WandbSink("project", "run", tmp_path, {"seed": 0}, "ponder-test")
    sink.write(0, {"loss/kl": 0.5})
    sink.close()
    assert list(tmp_path.rglob("*.wandb"))
