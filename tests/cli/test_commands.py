"""Commands that need no model: help, recipes, explain, doctor; and how errors leave."""

from __future__ import annotations

import json
import os
import signal
import time
import tomllib
from pathlib import Path

import pytest

from ponder.cli.main import main
from ponder.cli.new_run import new_run_path
from ponder.cli.stop import StopOnSignal
from ponder.cli.watch import Watch
from ponder.config.fields import leaf_fields
from ponder.config.recipes import load_recipe, recipe_names

Capture = pytest.CaptureFixture[str]


COMMANDS = ["train", "recipes", "eval", "audit", "chat", "report", "doctor"]
COMMANDS += ["grade", "judge", "plan", "sandbox"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: ponder {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["pipeline"], ["pipeline", "run"], ["distil"], ["eval"]])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_is_as_wide_as_the_terminal(
    command: list[str], width: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= width
    if command == ["pipeline"]:
        assert "ponder pipeline status RUN " in said


def test_recipes_lists_every_recipe(capsys: Capture) -> None:
    assert main(["recipes"]) == 0
    printed = capsys.readouterr().out
    for name in recipe_names():
        assert name in printed
        assert load_recipe(name).about in printed


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_explains_every_knob(name: str, capsys: Capture) -> None:
    assert main(["train", name, "--explain"]) == 0
    printed = capsys.readouterr().out
    for key, field in leaf_fields(type(load_recipe(name).config)).items():
        line = next(line for line in printed.splitlines() if line.split(" ")[0] == key)
        assert (field.description or "").replace("``", "`") in line


def test_the_explanation_says_where_values_came_from_and_what_they_multiply_to(
    capsys: Capture,
) -> None:
    arguments = ["batch.prompts_per_step=6", "batch.group_size=5", "batch.minibatches=3"]
    more = ["steps=7", "sampling.max_completion_tokens=100", "algorithm.kl_coef=0.1"]
    more += ["algorithm.reference_every=6", "eval.num_problems=10", "eval.k=4", "eval.every=0"]
    assert main(["train", "zero-tiny", "--explain", *arguments, *more]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("batch.group_size 5 command line Completions") for line in lines)
    assert any(line.startswith("algorithm.clip_high 0.28 preset modern") for line in lines)
    assert any(line.startswith("model base-tiny recipe zero-tiny") for line in lines)
    assert any(line.startswith("eval.top_p 1 default") for line in lines)
    assert "rollouts per step 6 prompts x 5 = 30" in lines
    assert "updates per step 3 (minibatches of 2 prompts = 10 rollouts each)" in lines
    assert "tokens per step, at most 30 rollouts x 100 = 3,000" in lines
    assert "total rollouts 7 steps x 30 = 210" in lines
    assert "total updates 7 steps x 3 = 21" in lines
    assert "reference replaced every 6 updates = every 2 steps" in lines
    assert "held-out evaluation 10 problems x 4 = 40 samples, before and after" in lines


def test_doctor_looks_around(capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["torch"]["threads"] >= 1
    assert found["memory_gib"]["total"] > 0
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(found["extras"]) == set(project["optional-dependencies"]) - {"dev"}
    assert found["sandbox"]["isolates"] is not bool(found["sandbox"]["missing"])
    assert main(["doctor"]) == 0
    assert "ready" in capsys.readouterr().out


def test_an_error_is_one_line_and_exit_code_2(capsys: Capture) -> None:
    assert main(["train", "zero-tiny", "batch.groupsize=4"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: batch.groupsize = '4': unknown key; did you mean batch.group_size?\n"
    )


@pytest.mark.parametrize(
    "arguments", [["trian"], [], ["train", "--resum", "x", "--nonsense"], ["recipes", "zero-tiny"]]
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_train_without_a_recipe_says_what_to_do(capsys: Capture) -> None:
    assert main(["train"]) == 2
    assert "name a recipe" in capsys.readouterr().err


def test_a_resumed_run_takes_no_settings(capsys: Capture, tmp_path: Path) -> None:
    assert main(["train", "--resume", str(tmp_path), "steps=3"]) == 2
    assert "a resumed run keeps its own config.toml" in capsys.readouterr().err


def test_run_folders_of_the_same_second_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = []
    for _ in range(3):
        path = new_run_path("demo")
        path.mkdir(parents=True)
        paths.append(path)
    assert len(set(paths)) == 3
    assert all(path.parent == Path("runs") and path.name.startswith("demo-2") for path in paths)


def test_the_first_ctrl_c_asks_and_the_second_quits() -> None:
    before = signal.getsignal(signal.SIGINT)
    watch = Watch()
    with StopOnSignal(watch) as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            _interrupt_again()
    assert signal.getsignal(signal.SIGINT) is before


def _interrupt_again() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
