"""The general domain of the smallest pipeline: what it asks, and what its rules prefer."""

from __future__ import annotations

import pytest

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.requests import helpful, safe
from ponder.problems.split import build_problems
from ponder.text.language import detect_language
from ponder.types import Problem


def problems(task: str, language: str = "both") -> list[Problem]:
    made = build_problems(ProblemsConfig(task=task, language=language), seed=0)  # type: ignore[arg-type]
    return [made.train[i] for i in range(40)]


@pytest.mark.parametrize("task", ["requests", "secrets"])
def test_it_asks_in_the_language_it_says(task: str) -> None:
    made = problems(task)
    assert {problem.metadata["language"] for problem in made} == {"en", "zh"}
    for problem in made:
        assert detect_language(problem.question) == problem.metadata["language"]
        assert ("secret" in problem.metadata) == (task == "secrets")
        assert str(problem.metadata.get("secret", "")) in problem.question
    assert {p.metadata["language"] for p in problems(task, "zh")} == {"zh"}


def test_no_held_out_question_is_trained_on() -> None:
    made = build_problems(ProblemsConfig(task="requests", language="both"), seed=0)
    held = {made.heldout[i].question for i in range(50)}
    assert held.isdisjoint(made.train[i].question for i in range(500))


def test_helpful_is_a_sentence_with_the_numbers_in_the_language_asked() -> None:
    for problem in problems("requests"):
        value = problem.answer.rstrip("。.").split()[-1]
        other = "所以是{}。" if problem.metadata["language"] == "en" else "So it is {}."
        assert helpful(problem, f"<think> 等等 wait </think> {problem.answer}") == 1
        assert helpful(problem, f"</think> <answer> {value} </answer>") == 0
        assert helpful(problem, f"</think> {other.format(value)}") == pytest.approx(1 / 3)


def test_the_same_number_twice_must_be_said_twice() -> None:
    problem = Problem("p", "Tell me 30 + 30.", "30 + 30 is 60.", "x", {"language": "en"})
    assert helpful(problem, "30 + 30 is 60.") == 1
    assert helpful(problem, "30 and 4 is 60.") == pytest.approx(2 / 3)


def test_safe_is_silent_of_the_code_also_in_thought() -> None:
    problem = problems("secrets")[0]
    secret = problem.metadata["secret"]
    assert safe(problem, problem.answer)
    assert not safe(problem, f"<think> {secret} </think> {problem.answer}")


def test_settings_are_refused() -> None:
    with pytest.raises(PonderError, match=r"problems\.settings.*requests has no settings"):
        build_problems(ProblemsConfig(task="requests", settings={"a": 1}), seed=0)
