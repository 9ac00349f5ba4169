"""Planted overlaps of ten words are found and named, nine are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.config.curate import DecontaminateConfig, EvaluationSetConfig
from ponder.curate.decontaminate import EvaluationIndex, build_index
from ponder.curate.evaluation import EvaluationText, problem_texts
from ponder.curate.tokens import tokenize
from ponder.errors import PonderError
from ponder.types import Problem

QUESTION = "Natalia sold clips to 48 of her friends in April, and then half as many in May."
SOLUTION = "She sold 48/2 = 24 clips in May and so 72 clips altogether in both of these months."
CHINESE = "小明有五个苹果，他给了小红三个苹果，还剩几个？"


def words(text: str, first: int, count: int) -> str:
    return " ".join(text.split()[first : first + count])


def index(*texts: str, **settings: object) -> EvaluationIndex:
    config = DecontaminateConfig.model_validate(settings)
    return build_index(config, [EvaluationText("e", str(n), text) for n, text in enumerate(texts)])


def items(found: EvaluationIndex, text: str) -> list[str]:
    return [hit.item for hit in found.find(tokenize([text]))]


def test_ten_words_are_a_hit_and_nine_are_not() -> None:
    found = index(QUESTION, SOLUTION, CHINESE)
    for first in range(7):
        ten = f"I think: {words(QUESTION, first, 10).upper()}! And so on."
        nine = f"I think: {words(QUESTION, first, 9)} something else entirely."
        assert items(found, ten) == ["0"]
        assert items(found, nine) == []
    assert items(found, words(QUESTION, 0, 5) + " etc. " + words(QUESTION, 5, 5)) == []
    assert items(found, words(QUESTION, 0, 9)) == []
    assert items(found, f"{words(SOLUTION, 0, 12)} and {QUESTION}") == ["1", "0"]
    assert items(found, "答：" + CHINESE[3:14] + "。") == ["2"]
    assert items(found, "答：" + CHINESE[3:13]) == []  # ten signs, of which nine are words


@pytest.mark.parametrize("unseen", ["\u200b", "\u00ad", "\u2060", "\u200d", "\ufeff", "\ufe0f"])
def test_what_no_reader_sees_hides_nothing(unseen: str) -> None:
    found = index(QUESTION, CHINESE)
    assert items(found, QUESTION.replace("a", f"a{unseen}")) == ["0"]
    assert items(found, unseen.join(CHINESE)) == ["1"]


@pytest.mark.parametrize(
    ("latin", "alike"),
    [("a", "\u0430"), ("o", "\u03bf"), ("e", "\u0435"), ("i", "\u0456"), ("s", "\u0455")],
)
def test_letters_that_look_alike_hide_nothing(latin: str, alike: str) -> None:
    changed = QUESTION.replace(latin, alike)
    assert changed != QUESTION
    assert items(index(QUESTION), changed) == ["0"]
    assert items(index(changed), QUESTION) == ["0"]
    assert items(index(QUESTION), changed.upper()) == ["0"]


def test_words_of_another_language_stay_apart() -> None:
    russian = "\u0441\u043a\u043e\u043b\u044c\u043a\u043e \u0441\u0442\u043e\u0438\u0442"
    found = index(f"{russian} {words(QUESTION, 0, 8)}")
    assert items(found, f"{russian} {words(QUESTION, 0, 8)}") == ["0"]
    assert items(found, words(QUESTION, 0, 10)) == []


def test_a_hit_says_what_is_shared() -> None:
    hits = index(QUESTION).find(tokenize(["none", f"so: {words(QUESTION, 2, 10)}?"]))
    assert [(hit.text, hit.set, hit.item) for hit in hits] == [(1, "e", "0")]
    assert hits[0].words == words(QUESTION, 2, 10).lower().rstrip(",.")


def test_short_texts_are_held_against_whole_questions() -> None:
    found = index("What is 12 * 34?", QUESTION)
    assert [hit.item for hit in found.find_equal(tokenize(["what is 12 * 34", "is 12 * 34"]))] == [
        "0"
    ]
    assert items(found, "What is 12 * 34?") == []
    assert not index("What is 12 * 34?", whole_short_items=False).find_equal(
        tokenize(["What is 12 * 34?"])
    )


def test_the_wording_of_a_task_is_no_item() -> None:
    wording = "Use each of these numbers once to make an expression with the value"
    texts = [f"{wording} {n}: the numbers are {n + 3} {n + 5} {n + 7} {n + 11}" for n in range(40)]
    found = index(*texts, "and one more")
    assert found.num_common == 4
    assert items(found, f"{wording} 1000: the numbers are 1 2 3 4") == []
    assert items(found, texts[7]) == ["7"]
    assert items(index(*texts, boilerplate_share=1.0), f"{wording} 1000") == ["0"]


def test_an_index_is_saved_and_loaded(tmp_path: Path) -> None:
    found = index(QUESTION, "short one")
    found.save(tmp_path / "a.npz")
    again = EvaluationIndex.load(tmp_path / "a.npz")
    assert again.facts() == found.facts()
    text = tokenize([f"x {QUESTION}", "Short one."])
    assert again.find(text) == found.find(text)
    assert again.find_equal(text) == found.find_equal(text)


def test_a_named_source_gives_its_questions_and_solutions(tmp_path: Path) -> None:
    rows = [{"question": QUESTION, "answer": SOLUTION + "\n#### 72"}]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("gsm8k", "my own set"):
        config = DecontaminateConfig(sets=[EvaluationSetConfig(name=name, path=path)])
        found = build_index(config)
        for text in (QUESTION, SOLUTION):
            hits = found.find(tokenize([f"as we know, {text}"]))
            assert [(hit.set, hit.item) for hit in hits] == [(name, "test.jsonl:1")]


def test_generated_problems() -> None:
    texts = problem_texts("held out", [Problem("p7", QUESTION, "72")])
    found = build_index(DecontaminateConfig(), texts)
    assert [hit.item for hit in found.find(tokenize([QUESTION]))] == ["p7"]


def test_a_set_that_says_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"id": 3}\n')
    with pytest.raises(PonderError, match="text_fields"):
        build_index(DecontaminateConfig(sets=[EvaluationSetConfig(name="x", path=path)]))
    with pytest.raises(PonderError, match="no named source"):
        build_index(DecontaminateConfig(sets=[EvaluationSetConfig(name="x")]))
    path.write_text("")
    with pytest.raises(PonderError, match="not one text"):
        build_index(DecontaminateConfig(sets=[EvaluationSetConfig(name="x", path=path)]))
