"""The metrics of two languages by hand, and none of them where problems are in one."""

from __future__ import annotations

import pytest

from ponder.rollout.stats import rollout_metrics
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict


def group(language: str | None, *rollouts: tuple[str, Verdict]) -> Group:
    metadata = {} if language is None else {"language": language}
    made = [
        Rollout(Completion("a", i, [1], text, [-0.5], "stop"), Judgement(verdict), {}, 0.0)
        for i, (text, verdict) in enumerate(rollouts)
    ]
    return Group(Problem("a", "q", "1", metadata=metadata), Prompt("a", "q", (1,)), made)


def thought(text: str) -> str:
    return f" <think> {text} </think> <answer> 42 </answer>"


def test_by_hand() -> None:
    right, wrong = Verdict.CORRECT, Verdict.INCORRECT
    groups = [
        group(
            "zh",
            (thought("6*7=42。等等，检查：6*7=42"), right),
            (thought("It is 42. 等等。"), right),
            (thought("It is 43."), wrong),
            (thought("all English but an error of ours"), Verdict.ERROR),
        ),
        group("en", (thought("6*7=42."), wrong)),
    ]
    metrics = rollout_metrics(groups)
    assert metrics["language/consistency_zh"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert metrics["language/consistency_en"] == 1.0
    assert metrics["language/consistency"] == pytest.approx(2.5 / 4)
    assert metrics["language/mixed_share"] == 1 / 4
    assert metrics["language/foreign_share"] == 1 / 4
    assert metrics["language/reflective_share"] == 2 / 4
    assert metrics["language/accuracy_zh"] == pytest.approx(2 / 3)
    assert metrics["language/accuracy_en"] == 0.0
    assert metrics["text/reflective_share"] == 0.0  # the paper's ten words only


@pytest.mark.parametrize("language", [None, "python"])
def test_none_where_no_language_is_stated(language: str | None) -> None:
    metrics = rollout_metrics([group(language, (thought("6*7=42."), Verdict.CORRECT))])
    assert not any(name.startswith("language/") for name in metrics)
