"""Tasks asked in two languages: wordings, the split, the verifier, and English left as it was."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.fingerprint import is_heldout
from ponder.problems.languages import CHINESE, chinese_question
from ponder.problems.split import ProblemSet, build_problems
from ponder.text.language import count_scripts, detect_language
from ponder.types import Problem, ProblemSource, Verdict
from ponder.verify.gym_entries import gym_entry
from ponder.verify.verifiers import verify

THREE_DIGITS = {"min_digits": 3, "max_digits": 3}


def products(language: str, seed: int = 0) -> ProblemSet:
    config = ProblemsConfig(task="products", settings=THREE_DIGITS, language=language, size=400)
    return build_problems(config, seed)


def first(source: ProblemSource, n: int) -> list[Problem]:
    return [source[index] for index in range(n)]


def english(problem: Problem) -> str:
    where = problem.metadata
    entry = gym_entry(where["task"], where["settings"], where["seed"], where["index"])
    return str(entry["question"])


def test_english_is_what_it_was() -> None:
    plain = build_problems(ProblemsConfig(task="products", settings=THREE_DIGITS, size=400), 0)
    assert first(products("en").train, 20) == first(plain.train, 20)
    assert first(products("en").heldout, 20) == first(plain.heldout, 20)
    assert all("language" not in problem.metadata for problem in first(plain.train, 5))


def test_both_is_half_chinese_in_seeded_order() -> None:
    made = products("both")
    for side in (made.train, made.heldout):
        languages = [problem.metadata["language"] for problem in first(side, 60)]
        assert all({one, two} == {"en", "zh"} for one, two in list(pairwise(languages))[::2])
        assert 5 < sum(language == "zh" for language in languages[::2]) < 25
    again = first(products("both").train, 60)
    assert again == first(made.train, 60)
    assert first(products("both", seed=1).heldout, 20) == first(made.heldout, 20)


@pytest.mark.parametrize("task", sorted(CHINESE))
def test_a_chinese_question_asks_the_same_and_verifies(task: str) -> None:
    made = build_problems(ProblemsConfig(task=task, language="zh", size=40), 0)
    for problem in first(made.train, 20) + first(made.heldout, 20):
        assert problem.metadata["language"] == "zh"
        assert problem.id.endswith("-zh")
        assert set(count_scripts(problem.question)) == {"han"}
        assert detect_language(problem.question) == "zh"
        assert _numbers(problem.question) == _numbers(english(problem))
        right = verify(problem, f"<think> 嗯 </think> <answer> {problem.answer} </answer>")
        assert right.verdict is Verdict.CORRECT
        wrong = verify(problem, f"<think> 嗯 </think> <answer> {int(problem.answer) + 1} </answer>")
        assert wrong.verdict is Verdict.INCORRECT


def _numbers(question: str) -> str:
    return "".join(c for c in question if c.isdigit() or c in "*+-")


def test_the_english_question_decides_the_side_in_every_language() -> None:
    for language in ("en", "zh", "both"):
        made = products(language)
        assert not any(is_heldout(english(problem)) for problem in first(made.train, 60))
        assert all(is_heldout(english(problem)) for problem in first(made.heldout, 60))
    ours, theirs = products("zh").heldout, products("en").heldout
    assert [english(p) for p in first(ours, 40)] == [p.question for p in first(theirs, 40)]


def test_entries_of_a_mixture_have_languages_of_their_own() -> None:
    part: dict[str, Any] = {"task": "products", "settings": THREE_DIGITS}
    mixture = [part | {"language": "both"}, {"task": "gcd", "language": "zh"}, {"task": "gcd"}]
    made = build_problems(ProblemsConfig(mixture=mixture, size=300), 0)
    for side in (made.train, made.heldout):
        seen = {
            (problem.metadata["task"], problem.metadata.get("language", "en"))
            for problem in first(side, 100)
        }
        assert seen == {("products", "en"), ("products", "zh"), ("gcd", "en"), ("gcd", "zh")}
    assert len({problem.question for problem in first(made.heldout, 100)}) == 100


def test_what_cannot_be_asked_in_chinese() -> None:
    with pytest.raises(PonderError, match=r"problems\.language.*lcm can be asked in English only"):
        build_problems(ProblemsConfig(task="lcm", language="zh"), 0)
    with pytest.raises(PonderError, match=r"problems\.mixture\[0\]\.language"):
        build_problems(ProblemsConfig(mixture=[{"task": "lcm", "language": "zh"}]), 0)
    with pytest.raises(PonderError, match=r"problems\.language.*means nothing for problems\.name"):
        build_problems(ProblemsConfig(name="gsm8k", language="zh"), 0)
    with pytest.raises(ValueError, match="words that have no Chinese"):
        chinese_question("products", "What is 2 * 3?")
