"""A user's own verifier: what it may return, and what its mistakes become."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import PonderError
from ponder.types import Judgement, Problem, Verdict
from ponder.verify import custom
from ponder.verify.custom import call, load_function, verify_custom

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(HERE)


def judge(function: str, text: str = "<answer>8</answer>", **metadata: Any) -> Judgement:
    return verify_custom(Problem("p", "q", "5", f"own_verifiers:{function}", metadata), text)


def test_judgements_bools_and_floats() -> None:
    assert judge("even_number") == Judgement(Verdict.CORRECT, "8")
    assert judge("even_number", "<answer>7</answer>").verdict is Verdict.INCORRECT
    assert judge("even_number", "8").verdict is Verdict.UNPARSABLE
    assert judge("has_answer", "5").verdict is Verdict.CORRECT
    assert judge("has_answer", "6").verdict is Verdict.INCORRECT
    assert judge("share", "aa") == Judgement(Verdict.CORRECT, score=1.0)
    assert judge("share", "ab") == Judgement(Verdict.INCORRECT, score=0.5)


def test_it_runs_in_another_process() -> None:
    assert judge("process", pid=os.getpid()).verdict is Verdict.INCORRECT


@pytest.mark.parametrize("value", [None, "correct", 1.5, -0.1, float("nan"), [1.0], 7, {}])
def test_another_value_is_an_error_that_says_so(value: object) -> None:
    problem = Problem("p", "q", "5", "own_verifiers:echo", {"value": value})
    found = call(problem, "x", str(HERE))
    assert found.verdict is Verdict.ERROR
    assert "must return a Judgement, a bool or a float" in found.reason
    assert judge("echo", value=None).verdict is Verdict.ERROR


@pytest.mark.parametrize(
    "wrong",
    [
        Judgement("right"),  # type: ignore[arg-type]
        Judgement(Verdict.CORRECT, score=float("nan")),
        Judgement(Verdict.CORRECT, score=7.0),
        Judgement(Verdict.INCORRECT, score=-1),
        Judgement(Verdict.INCORRECT, score="1"),  # type: ignore[arg-type]
        Judgement(Verdict.CORRECT, 5),  # type: ignore[arg-type]
        Judgement(Verdict.CORRECT, "5", None),  # type: ignore[arg-type]
    ],
)
def test_a_judgement_that_no_reward_can_be_made_of_is_an_error(wrong: Judgement) -> None:
    found = custom.as_judgement(wrong, "mine:f")
    assert found.verdict is Verdict.ERROR
    assert found.reason.startswith("mine:f returned")


def test_exceptions_crashes_and_hangs_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judge("raises")
    assert found.verdict is Verdict.ERROR
    assert "KeyError" in found.reason
    monkeypatch.setattr(custom, "DEADLINE_SECONDS", 1.0)
    for function, kind in (("hangs", "timeout"), ("dies", "crash")):
        found = judge(function)
        assert found.verdict is Verdict.ERROR
        assert kind in found.reason
    assert judge("has_answer", "5").verdict is Verdict.CORRECT


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("own_verifiers", 'write "module:function"'),
        (":verify", 'write "module:function"'),
        ("own_verifiers:", 'write "module:function"'),
        ("no_such_module:verify", "importing no_such_module failed (ModuleNotFoundError"),
        ("own_verifiers:no_such", "has no no_such; it has"),
        ("own_verifiers:SOMETHING", "it is a int, no function"),
    ],
)
def test_mistakes_name_the_field_and_the_fix(name: str, fix: str) -> None:
    with pytest.raises(PonderError) as caught:
        load_function(name, str(HERE))
    assert caught.value.field == "problems.verifier"
    assert fix in caught.value.fix


def test_a_module_in_the_current_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_in_cwd.py").write_text("def verify(problem, text):\n    return '5' in text\n")
    (tmp_path / "broken_in_cwd.py").write_text("import nothing_of_that_name\n")
    monkeypatch.chdir(tmp_path)
    problem = Problem("p", "q", "5", "mine_in_cwd:verify")
    assert verify_custom(problem, "5").verdict is Verdict.CORRECT
    with pytest.raises(PonderError, match="nothing_of_that_name"):
        load_function("broken_in_cwd:verify", str(tmp_path))
