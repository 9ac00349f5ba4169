"""From scored groups to figures, by hand; and to JSON and back."""

from __future__ import annotations

import json
import math

import pytest

from ponder.errors import GuardError
from ponder.evals.evaluate import r1_sampling, result_of
from ponder.evals.result import EvalResult
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Sampling, Verdict


def sample(verdict: Verdict, answer: str | None, num_tokens: int, text: str = "") -> Rollout:
    finish = "length" if answer is None else "stop"
    completion = Completion("p", 0, [1] * num_tokens, text, [0.0] * num_tokens, finish)  # type: ignore[arg-type]
    parts = {} if verdict is Verdict.ERROR else {"format": float(answer is not None)}
    return Rollout(completion, Judgement(verdict, answer, "reason"), parts, None)


RIGHT = sample(Verdict.CORRECT, "7", 10, "wait, check")
WRONG = sample(Verdict.INCORRECT, "8", 20)
LOST = sample(Verdict.UNPARSABLE, None, 30, "but")
BROKEN = sample(Verdict.ERROR, None, 1000)


def group(name: str, *rollouts: Rollout) -> Group:
    return Group(Problem(name, f"{name}?", "7"), Prompt(name, "", ()), list(rollouts))


GROUPS = [
    group("a", RIGHT, RIGHT, WRONG, LOST),
    group("b", RIGHT, WRONG, WRONG, BROKEN),
    group("c", LOST, LOST, LOST, WRONG),
]
SAMPLING = Sampling(1.0, 0.9, 0, 64, ("</answer>",))


def test_figures_by_hand() -> None:
    result = result_of(GROUPS, 4, SAMPLING, 5)
    accuracies = [1 / 2, 1 / 3, 0]
    mean = sum(accuracies) / 3
    assert result.pass_at_1 == pytest.approx(mean)
    spread = sum((a - mean) ** 2 for a in accuracies)
    assert result.stderr == pytest.approx(math.sqrt(spread / 6))
    # pass@2: a: 1 - C(2,2)/C(4,2) = 5/6; b: 1 - C(2,2)/C(3,2) = 2/3; c: 0.
    assert result.pass_at_k[2] == pytest.approx((5 / 6 + 2 / 3) / 3)
    # b lost a sample to an error, so pass@4 is of a and c.
    assert result.pass_at_k[4] == pytest.approx(1 / 2)
    assert result.cons_at_k == pytest.approx((1 + 0 + 0) / 3)
    assert result.mean_tokens == pytest.approx((70 + 50 + 110) / 11)
    assert result.format == pytest.approx(7 / 11)
    assert result.reflective_words_per_completion == pytest.approx((3 * 2 + 4) / 11)
    assert result.reflective_share == pytest.approx(7 / 11)
    assert result.truncated_fraction == pytest.approx(4 / 11)
    figures = result.figures()
    assert (figures["num_correct"], figures["num_samples"], figures["num_error"]) == (3, 11, 1)
    assert result.metrics()["eval/pass@1"] == result.pass_at_1
    assert result.metrics()["eval/cons@4"] == result.cons_at_k


def test_json_round_trip() -> None:
    result = result_of(GROUPS, 4, SAMPLING, 5)
    text = json.dumps(result.to_json(), allow_nan=False)
    again = EvalResult.from_json(json.loads(text))
    assert again == result
    assert again.to_json() == result.to_json()
    assert json.loads(text)["sampling"]["temperature"] == 1.0
    assert json.loads(text)["problems"][0]["samples"][0]["answer"] == "7"


def test_one_problem_has_no_error_bar_and_is_still_json() -> None:
    result = result_of(GROUPS[:1], 4, SAMPLING, 5)
    assert result.figures()["stderr"] is None
    assert "eval/stderr" not in result.metrics()
    json.dumps(result.to_json(), allow_nan=False)


def test_nothing_but_errors_is_no_measurement() -> None:
    with pytest.raises(GuardError, match=r"every verdict of the evaluation is an error.*reason"):
        result_of([group("a", BROKEN, BROKEN)], 2, SAMPLING, 0)


def test_the_papers_sampling() -> None:
    assert r1_sampling(512) == Sampling(0.6, 0.95, 0, 512)
