"""A scripted run: the events of a training run, without a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.evals.result import EvalResult, ProblemResult, Sample
from ponder.train.observer import RunInfo, RunObserver
from ponder.train.summary import Summary
from ponder.types import (
    Completion,
    Group,
    Judgement,
    Problem,
    Prompt,
    Rollout,
    Sampling,
    Verdict,
)

TRICKY = "<think> 9 - 8 = [bold red]1[/bold red]. Wait, \x1b[31mcheck[/ :smile: "


def make_group(text: str, verdict: Verdict = Verdict.CORRECT) -> Group:
    """One problem with one rollout whose completion is ``text``."""
    problem = Problem("p0", "Calculate 9 - 8 + 4 + 2 .", "7")
    tokens = list(range(len(text) // 4 + 1))
    completion = Completion("p0", 0, tokens, text, [-0.5] * len(tokens), "stop")
    rollout = Rollout(completion, Judgement(verdict, "7"), {"accuracy": 1.0}, 2.0, 0.3)
    return Group(problem, Prompt("p0", "...", (1,)), [rollout])


def make_result(accuracy: float, tokens: int = 20) -> EvalResult:
    """Four samples of each of 25 problems, ``accuracy`` of them correct."""
    problems = []
    for index in range(25):
        verdict = Verdict.CORRECT if index < 25 * accuracy else Verdict.INCORRECT
        sample = Sample(verdict, "7", tokens, True, 2, False)
        problems.append(ProblemResult(f"h{index}", "q", "7", [sample] * 4))
    return EvalResult(4, 0, Sampling(), problems)


def make_row(step: int, steps: int) -> dict[str, float]:
    """A row of metrics of a run that learns."""
    share = step / steps
    return {
        "reward/accuracy": 0.15 + 0.8 * share,
        "reward/mean": 0.4 + 1.5 * share,
        "rollout/mean_tokens": 15 + 60 * share,
        "rollout/entropy": 1.2 - share,
        "rollout/zero_variance_fraction": 0.1,
        "rollout/solve_all_fraction": 0.02,
        "rollout/solve_none_fraction": 0.08,
        "rollout/truncated_fraction": 0.01,
        "text/reflective_words_per_completion": 0.3 + 5 * share,
        "policy/grad_norm": 0.4,
        "policy/mismatch_max": 3e-6,
        "time/step_seconds": 2.0,
        "speed/rollout_tokens_per_second": 9100.0,
        "speed/update_tokens_per_second": 5200.0,
    }


def play_run(observer: RunObserver, steps: int = 6, delay: float = 0.0, lines: int = 3) -> None:
    """Tell ``observer`` what a run of ``steps`` steps would."""
    run_path = Path("runs/zero-tiny-20260101-120000")
    observer.on_start(
        RunInfo("zero-tiny", run_path, "base-tiny", 2_700_000, "cpu", 0, steps, 32, 8, 1, 256)
    )
    observer.on_phase(0, "evaluate")
    time.sleep(delay)
    before = make_result(0.16)
    observer.on_eval(0, before)
    for step in range(steps):
        observer.on_phase(step, "rollout")
        time.sleep(delay / 2)
        observer.on_phase(step, "update")
        time.sleep(delay / 2)
        body = "".join(f"Line {i}: 9 - 8 = 1, and {TRICKY}\n" for i in range(lines))
        text = f"<think> {body}</think> <answer>7</answer>"
        observer.on_step(step, make_row(step, steps), [make_group(text)])
        if step == 3:
            observer.on_alarm(
                "step 3: every group has equal rewards: [/this] step taught nothing " * 3
            )
    after = make_result(0.92, 75)
    observer.on_eval(steps, after)
    observer.on_end(
        Summary(
            "zero-tiny", steps, True, 61.0, before, after, run_path, run_path / "checkpoints" / "s"
        )
    )


@pytest.fixture
def play() -> Callable[..., None]:
    """``play_run``."""
    return play_run


@pytest.fixture
def group() -> Callable[..., Group]:
    """``make_group``."""
    return make_group


@pytest.fixture(autouse=True)
def _no_terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output goes to a pipe of no set width, also in a worker of pytest-xdist, which sets one."""
    monkeypatch.delenv("COLUMNS", raising=False)
