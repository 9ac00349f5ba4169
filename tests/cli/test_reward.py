"""`ponder train` of a reward model: the recipe that ships, its ending, its views, its mistakes."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path

import pytest
from tests.cli.training import Capture, check_mistake, interrupt, views_of
from tests.rows import comparable

from ponder.cli.main import main
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.train.observer import RunInfo


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The recipe as it ships, on a tiny random model; a digit is liked, and one row is too long."""
    folder = tmp_path_factory.mktemp("inputs")
    save_model(*make_tiny_model(0), folder / "model")
    draw = random.Random(0)
    rows = []
    for n in range(150):
        text = ["".join(draw.choices("abcdef", k=draw.randint(3, 9))) for _ in range(2)]
        rows.append({"prompt": f"{n}?", "chosen": f"{text[0]}7", "rejected": text[1]})
    rows.append({"prompt": "long", "chosen": "a " * 600, "rejected": "b"})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = ["threads=1", "device=cpu", "checkpoint.every=2", "optimizer.learning_rate=3e-3"]
    return [f"data.path={folder / 'pairs.jsonl'}", f"model={folder / 'model'}", *more]


@pytest.fixture(scope="module")
def run(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "reward-tiny", *settings, "epochs=2", f"out={path}"]) == 0
    return path


def test_the_recipe_runs_and_says_what_came_of_it(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "reward-tiny", *settings]) == 0
    (path,) = (tmp_path / "runs").iterdir()
    assert path.name.startswith("reward-tiny-2")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any("1 rows are left out" in line for line in lines)
    assert any(
        line.startswith("1/") and "accuracy" in line and "held-out" in line for line in lines
    )
    assert "long 1 left out" in lines
    assert any(line.startswith("right ") and "held-out examples" in line for line in lines)
    assert any(line.startswith("longer preferred in ") for line in lines)
    assert not any(line.startswith("talk") for line in lines), "it writes nothing"
    summary = json.loads((path / "summary.json").read_text())
    assert summary["finished"]
    assert summary["objective"] == "pairwise"
    page = (path / "report.html").read_text()
    for shown in ("pairs.jsonl", "pairwise", "32 examples", "preference/accuracy", "eval/accuracy"):
        assert shown in page
    config = tomllib.loads((path / "config.toml").read_text())
    assert (config["kind"], config["epochs"]) == ("reward_model", 1)


def test_ctrl_c_finishes_the_step_and_the_resumed_run_is_the_same(
    run: Path, settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "stopped"
    interrupt(["reward-tiny", *settings, "epochs=2"], path, "1/")
    assert main(["train", "--resume", str(path)]) == 0
    assert "right " in capsys.readouterr().out
    assert comparable(path) == comparable(run)
    assert main(["train", "--resume", str(path)]) == 2
    assert "finished" in capsys.readouterr().err


def test_explain_knows_every_knob_and_the_arithmetic(settings: list[str], capsys: Capture) -> None:
    assert main(["train", "reward-tiny", *settings, "epochs=3", "--explain"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "32 pairs; the loss is their mean" in printed
    assert "the final answer, at its last token" in printed
    assert "10% of the prompts of data.path" in printed
    assert "epochs 3 command line" in printed


def test_a_reward_model_cannot_chat(run: Path, capsys: Capture) -> None:
    assert main(["chat", str(run)]) == 2
    assert "scores texts and writes none" in capsys.readouterr().err


WRONG = {
    (): r"data.path = None: name the file of preferences",
    ("data.path=none.jsonl",): r"there is no such file",
    ("objective=pair",): r"objective = 'pair'",
    ("batch_sizes=3",): r"did you mean batch_size",
}


@pytest.mark.parametrize("words", WRONG)
def test_mistakes_are_one_line_and_leave_no_folder(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    check_mistake(["reward-tiny", *words], WRONG[words], tmp_path, capsys)


def test_the_views() -> None:
    row = {
        "loss/total": 0.625,
        "eval/accuracy": 0.51,
        "preference/accuracy": 0.8125,
        "preference/examples": 32,
        "preference/tokens": 6000,
        "policy/learning_rate": 5e-5,
        "policy/grad_norm": 0.5,
        "time/step_seconds": 2.0,
        "speed/update_tokens_per_second": 3000.0,
    }
    info = RunInfo("mine", Path("runs/mine"), "base-tiny", 10, "cpu", 0, 9, 32, 2, 1, 256)
    frames, lines = views_of(info, row)
    for drawn in frames:
        for shown in ("0.6250 nats", "81.2% of the batch", "32 examples", "3,000 tokens/s"):
            assert shown in drawn
    assert "1/9 steps  loss 0.6250  accuracy 81.2%  held-out 51.0%  lr 5e-05" in lines
