"""`ponder distil`: both methods to their table, --dry-run, --resume, wrong uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.cli.main import main
from ponder.config.recipes import read_config
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model

Capture = pytest.CaptureFixture[str]
RECIPE = """\
kind = "distil"
about = "A test."
device = "cpu"
threads = 1
[problems]
path = "{folder}/problems.jsonl"
verifier = "tests.pipeline.verdicts:often"
[template]
name = "plain"
[sampling]
max_completion_tokens = 12
max_batch_size = 12
[collect]
num_problems = 12
group_size = 3
[filters]
format = "any"
min_language = 0.0
max_repetition = 1.0
allow_truncated = true
[dedupe]
near_threshold = 1.1
[off_policy]
samples = 4
[on_policy]
steps = 3
prompts_per_step = 4
group_size = 1
[eval]
num_problems = 4
k = 2
[checkpoint]
every = 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    save_model(*make_tiny_model(1, hidden_size=48), folder / "teacher")
    save_model(*make_tiny_model(0), folder / "student")
    rows = [{"question": f"{n} + {n} =", "answer": str(2 * n)} for n in range(100)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "d.toml").write_text(RECIPE.format(folder=folder))
    return folder


def distil(folder: Path, *arguments: str) -> int:
    models = (str(folder / "teacher"), str(folder / "student"))
    return main(["distil", *models, *arguments, "--recipe", str(folder / "d.toml")])


@pytest.mark.parametrize("method", ["off_policy", "on_policy"])
def test_it_ends_with_a_table_and_a_report(
    folder: Path, tmp_path: Path, capsys: Capture, method: str
) -> None:
    run = tmp_path / "run"
    assert distil(folder, f"method={method}", "--out", str(run)) == 0
    printed = capsys.readouterr().out
    assert "student before" in printed
    assert "pass@1" in printed
    assert "completion length" in printed
    if method == "on_policy":
        assert "KL to the teacher" in printed
    report = (run / "report.html").read_text()
    assert "distil" in report
    assert str(run / "checkpoints") in printed
    config = read_config(run / "config.toml")
    assert config.kind == "distil"
    assert config.teacher == str(folder / "teacher")
    assert main(["distil", "--resume", str(run)]) == 2
    assert "finished" in capsys.readouterr().err
    assert main(["report", str(run)]) == 0


def test_a_run_goes_on(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    assert distil(folder, "--out", str(run)) == 0
    (run / "summary.json").unlink()
    (run / "evals" / "teacher.json").unlink()
    assert main(["train", "--resume", str(run)]) == 2
    assert f"ponder distil --resume {run}" in capsys.readouterr().err
    assert main(["distil", "--resume", str(run)]) == 0
    assert "student before" in capsys.readouterr().out


def test_the_estimate_and_the_explanation(folder: Path, capsys: Capture) -> None:
    assert distil(folder, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "12 problems x 3 of the teacher" in printed
    assert "memory" in printed
    assert distil(folder, "method=on_policy", "--dry-run") == 0
    assert "12 samples of the student" in capsys.readouterr().out
    assert distil(folder, "method=on_policy", "--explain") == 0
    assert "3 steps x 4 = 12" in capsys.readouterr().out
    assert not Path("runs").exists() or not list(Path("runs").glob("d-*"))


def refused(capsys: Capture, *arguments: str) -> str:
    assert main(["distil", *arguments]) == 2
    return capsys.readouterr().err


def test_wrong_uses(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    teacher, student, out = str(folder / "teacher"), str(folder / "student"), str(tmp_path / "run")
    rest = ("--recipe", str(folder / "d.toml"), "--out", out)
    assert "distil TEACHER STUDENT" in refused(capsys)
    assert "distil TEACHER STUDENT" in refused(capsys, teacher, "method=on_policy")
    assert "itself" in refused(capsys, teacher, teacher, *rest)
    assert "no such folder" in refused(capsys, str(folder / "nobody"), student, *rest)
    assert 'not a recipe of kind "distil"' in refused(
        capsys, teacher, student, "--recipe", "zero-tiny"
    )
    assert "nothing else" in refused(capsys, teacher, student, "--resume", out)
    strange = folder / "stranger"
    save_model(*make_tiny_model(1, words=(" the",)), strange)
    assert "tokenizer" in refused(capsys, str(strange), student, "method=on_policy", *rest)
    assert not Path(out).exists()
