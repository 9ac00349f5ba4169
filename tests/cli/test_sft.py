"""`ponder train` of fine-tuning: the recipe that ships, its ending, its views, its mistakes."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from tests.cli.training import Capture, check_mistake, interrupt, views_of
from tests.rows import comparable

from ponder.cli.main import main
from ponder.cli.opened import open_model
from ponder.cli.parser import build_parser
from ponder.cli.specs import choose_model
from ponder.config.recipes import load_recipe, to_toml
from ponder.config.rl import TemplateConfig
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.train.observer import RunInfo


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty rows of two prompts each, one of them too long."""
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    lines = [
        {"question": f"What is {n // 2} + 1?", "completion": f" <think>{n}</think> {n // 2 + 1}"}
        for n in range(40)
    ]
    lines.append({"question": "Write.", "completion": "long " * 600})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def settings(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The recipe as it ships, on a tiny random model."""
    model = tmp_path_factory.mktemp("model")
    save_model(*make_tiny_model(0), model)
    more = ["batch.microbatch_tokens=900", "threads=1", "device=cpu", "data.heldout_samples=4"]
    return [f"data.path={rows}", f"model={model}", *more]


@pytest.fixture(scope="module")
def run(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "sft-tiny", *settings, f"out={path}"]) == 0
    return path


def test_the_recipe_runs_and_says_what_came_of_it(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "sft-tiny", *settings]) == 0
    (path,) = (tmp_path / "runs").iterdir()
    assert path.name.startswith("sft-tiny-2")
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert any("1 of 41 samples of" in line and "512 tokens" in line for line in lines)
    assert any(line.startswith("9/9 steps loss ") and "held-out" not in line for line in lines)
    assert any(line.startswith("1/9 steps loss ") and "held-out" in line for line in lines)
    assert any(line.startswith("learnt 36 samples, ") for line in lines)
    assert "long 1 left out, 0 cut" in lines
    assert any(line.startswith("heldout ") and "->" in line for line in lines)
    assert f"report {Path('runs') / path.name / 'report.html'}" in lines
    summary = json.loads((path / "summary.json").read_text())
    assert summary["heldout_loss"][1] < summary["heldout_loss"][0]
    page = (path / "report.html").read_text()
    for shown in ("rows.jsonl", "16 samples", "sft/fill", "eval/loss", "9 of 9"):
        assert shown in page
    config = tomllib.loads((path / "config.toml").read_text())
    assert (config["kind"], config["epochs"]) == ("sft", 3)


def test_ctrl_c_finishes_the_step_and_the_resumed_run_is_the_same(
    run: Path, settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "stopped"
    interrupt(["sft-tiny", *settings], path, "1/9 steps")
    assert main(["train", "--resume", str(path)]) == 0
    assert "9/9 steps" in capsys.readouterr().out
    assert comparable(path) == comparable(run)


def test_explain_knows_every_knob_and_the_arithmetic(rows: Path, capsys: Capture) -> None:
    assert main(["train", "sft-tiny", f"data.path={rows}", "epochs=5", "--explain"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "16 samples x 512 = 8,192" in printed
    assert "0.0005, cosine to 5e-05" in printed
    assert "epochs 5 command line" in printed
    assert "batch.samples 16 recipe sft-tiny" in printed
    assert "optimizer.schedule cosine default" in printed


def test_a_recipe_of_ones_own_extends_it(rows: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "sft-tiny"\nkind = "sft"\n[data]\npath = "{rows}"\n')
    assert main(["train", str(path), "batch.samples=0", "batch.tokens=900", "--explain"]) == 0
    printed = capsys.readouterr().out
    assert "900 tokens at most" in printed
    assert "recipe mine" in printed


def test_chat_and_eval_take_the_template_of_the_run(run: Path) -> None:
    template = TemplateConfig(name="plain", suffix="!")
    config = load_recipe("sft-tiny").config.model_copy(update={"template": template})
    other = run.parent / "other"
    shutil.copytree(run, other)
    (other / "config.toml").write_text(to_toml(config))
    for path in (other, max((other / "checkpoints").iterdir())):
        assert choose_model(str(path)).template == template
    opened = open_model(build_parser().parse_args(["chat", str(other)]))
    assert opened.make_prompt.template == template


WRONG = {
    (): r"data.path = None: name the rows to learn",
    ("data.path=none.jsonl",): r"data.path = 'none.jsonl': there is no such file",
    ("batch.tokens=900",): r"the size of an update is in samples or in tokens",
    ("batch.samples=0",): r"an update needs a size",
    ("optimizer.learning_rate=1e-6",): r"must be no more than optimizer.learning_rate",
    ("data.heldout_path=a", "data.heldout_samples=3"): r"set this to 0",
    ("batch.sample=3",): r"did you mean batch.samples",
}


@pytest.mark.parametrize("words", WRONG)
def test_mistakes_are_one_line_and_leave_no_folder(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    check_mistake(["sft-tiny", *words], WRONG[words], tmp_path, capsys)


def test_the_views() -> None:
    row = {
        "loss/total": 1.25,
        "eval/loss": 1.5,
        "policy/learning_rate": 5e-5,
        "policy/grad_norm": 0.5,
        "sft/fill": 0.97,
        "sft/samples": 16,
        "sft/tokens": 8000,
        "sft/completion_tokens": 6000,
        "sft/forward_passes": 2,
        "sft/epoch": 1,
        "time/step_seconds": 2.0,
        "speed/update_tokens_per_second": 4000.0,
    }
    info = RunInfo("mine", Path("runs/mine"), "base-tiny", 10, "cpu", 0, 9, 16, 1, 1, 256)
    frames, lines = views_of(info, row)
    for drawn in frames:
        for shown in ("1.2500 nats", "1.5000 nats", "6,000 learnt", "97% full", "4,000 tokens/s"):
            assert shown in drawn
        assert "accuracy" not in drawn
    assert "1/9 steps  loss 1.2500  held-out 1.5000  lr 5e-05" in lines
