"""The commands on real runs of a tiny random model: train, stop, resume, eval, chat, report."""

from __future__ import annotations

import io
import json
import sys
import tomllib
from pathlib import Path

import pytest
from rich.console import Console
from tests.cli.training import Capture, interrupt
from tests.rows import comparable

from ponder.cli.eval import choose_problems, measure
from ponder.cli.main import main
from ponder.cli.opened import open_model
from ponder.cli.parser import build_parser
from ponder.cli.specs import parse_problems
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.verify.verifier_pool import VerifierPool


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random model and its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    save_model(*make_tiny_model(0), folder)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty problems in a file."""
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    lines = [json.dumps({"question": f"What is {n} + 1?", "answer": n + 1}) for n in range(60)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def settings(model: Path, rows: Path) -> list[str]:
    """A run of seconds whose reward has variance (a fair coin)."""
    return [
        f"model={model}",
        f"problems.path={rows}",
        "template.name=plain",
        "sampling.max_completion_tokens=12",
        "reward.random=1",
        "batch.prompts_per_step=2",
        "batch.group_size=4",
        "eval.num_problems=3",
        "eval.k=2",
        "checkpoint.every=100",
        "steps=3",
        "threads=1",
        "device=cpu",
    ]


@pytest.fixture(scope="module")
def run(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "zero-tiny", *settings, f"out={path}"]) == 0
    return path


def test_a_run_ends_with_a_table_and_the_paths(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "zero-tiny", *settings]) == 0
    (path,) = (tmp_path / "runs").iterdir()
    assert path.name.startswith("zero-tiny-2")
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "3 held-out problems before after" in lines
    assert any(line.startswith("pass@1 ") and line.count("±") == 2 for line in lines)
    assert f"run {Path('runs') / path.name}" in lines
    assert f"report {Path('runs') / path.name / 'report.html'}" in lines
    assert "1/3 steps" in printed
    assert "3/3 steps" in printed
    summary = json.loads((path / "summary.json").read_text())
    assert summary["steps"] == 3
    assert summary["seconds"] > 0
    for when in ("before", "after"):
        assert {"pass@1", "stderr", "mean_tokens"} <= set(summary[when])
    assert (path / "report.html").read_text().lower().startswith("<!doctype html>")
    config = tomllib.loads((path / "config.toml").read_text())
    assert config["batch"]["group_size"] == 4
    assert config["name"] == "zero-tiny"


def test_a_finished_run_is_not_resumed(run: Path, capsys: Capture) -> None:
    assert main(["train", "--resume", str(run)]) == 2
    assert "this run is finished (3 of 3 steps): nothing to resume" in capsys.readouterr().err


def test_a_run_without_evaluation(settings: list[str], tmp_path: Path, capsys: Capture) -> None:
    more = ["eval.num_problems=0", "steps=1", f"out={tmp_path / 'r'}"]
    keys = {word.partition("=")[0] for word in more}
    kept = [word for word in settings if word.partition("=")[0] not in keys]
    assert main(["train", "zero-tiny", *kept, *more]) == 0
    printed = capsys.readouterr().out
    assert "held-out" not in printed
    assert "report" in printed
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["before"] is None


def test_ctrl_c_finishes_the_step_and_the_resumed_run_is_the_same(
    run: Path, settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "stopped"
    rest = interrupt(["zero-tiny", *settings], path, "held-out problems at step 0")
    assert "stopping after this step (Ctrl-C again quits at once)" in rest
    assert len(list((path / "checkpoints").glob("step_*"))) == 1
    assert main(["train", "--resume", str(path)]) == 0
    assert "3/3 steps" in capsys.readouterr().out
    assert comparable(path) == comparable(run)


def test_report_again(run: Path, capsys: Capture) -> None:
    (run / "report.html").unlink()
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert (run / "report.html").exists()


def test_eval_of_a_file_counts_all_its_rows(
    model: Path, rows: Path, tmp_path: Path, capsys: Capture
) -> None:
    arguments = [str(model), "--problems", str(rows), "--k", "4", "--num-problems", "500"]
    more = ["--max-completion-tokens", "6", "--json", str(tmp_path / "e.json"), "--seed", "3"]
    assert main(["eval", *arguments, *more]) == 0
    printed = capsys.readouterr().out
    assert f"{model} on 60 problems of {rows}, 4 samples each" in printed
    for name in ("pass@1", "pass@2", "pass@4", "cons@4"):
        assert any(line.startswith(f"{name} ") for line in printed.splitlines())
    told = json.loads((tmp_path / "e.json").read_text())
    assert told["figures"]["num_samples"] == 240
    assert told["k"] == 4
    assert told["seed"] == 3
    assert told["sampling"]["temperature"] == 0.6
    assert told["sampling"]["top_p"] == 0.95
    assert told["template"]["name"] == "r1_zero"
    assert told["problems_spec"] == str(rows)
    assert told["which_problems"] == f"problems of {rows}"


def test_eval_of_a_run_on_its_own_file_takes_held_out_rows_and_its_template(
    run: Path, rows: Path, tmp_path: Path, capsys: Capture
) -> None:
    json_path = tmp_path / "e.json"
    assert (
        main(["eval", str(run), "--problems", str(rows), "--k", "1", "--json", str(json_path)]) == 0
    )
    told = json.loads(json_path.read_text())
    assert told["which_problems"] == f"held-out problems of {rows}"
    assert 0 < told["figures"]["num_problems"] < 30
    assert told["template"]["name"] == "plain"
    assert told["sampling"]["max_completion_tokens"] == 12
    assert "cons@1" not in capsys.readouterr().out


def test_eval_is_the_same_in_other_chunks(model: Path) -> None:
    arguments = ["eval", str(model), "--problems", "any", "--max-completion-tokens", "6"]
    opened = open_model(build_parser().parse_args(arguments))
    problems, _ = choose_problems(parse_problems("chain_sum:max_terms=3"), None, 5)
    out = Console(file=io.StringIO())
    with VerifierPool() as pool:
        whole, parts = (measure(opened, problems, 3, 0, out, pool, size) for size in (512, 4))
        assert len(whole.problems) == 5
        assert whole == parts
        assert measure(opened, problems, 3, 1, out, pool) != whole


def test_a_benchmark_is_measured_whole(tmp_path: Path) -> None:
    rows = [{"problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(30)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems, which = choose_problems(parse_problems(f"math500:path={path}"), None, 100)
    assert len(problems) == 30
    assert "held-out" not in which


def test_chat_answers_each_line_of_a_pipe(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("What is 1 + 1?\n\nWhat is 2 + 1?\n"))
    assert main(["chat", str(run)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("(cut off at 12 tokens") == 2
    assert ">" not in printed.splitlines()[0][:2]


def test_chat_of_no_lines(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["chat", str(model)]) == 0
    assert capsys.readouterr().out == ""
