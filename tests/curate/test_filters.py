"""Each filter drops what it should and nothing else."""

from __future__ import annotations

import random

import pytest

from ponder.config.curate import FilterConfig
from ponder.curate.filters import drop_reason, may_loop, may_repeat
from ponder.curate.row import Row
from ponder.text.repetition import ending_loop, repetition_penalty

GOOD = "First add the two numbers. 3 + 4 = 7, and 7 is odd. Check: 7 - 4 = 3."
LONG = " ".join(f"word{i}" for i in range(700))


def row(completion: str, question: str = "What is 3 + 4?", **metadata: object) -> Row:
    return Row("a", question, completion, metadata=metadata)


def r1(thought: str, answer: str = "7") -> str:
    return f"<think> {thought} </think> <answer> {answer} </answer>"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (row(r1(GOOD)), None),
        (row(f"{GOOD}</think>\nThe sum is 7.", "3 + 4?<think>\n"), None),
        (row(f"<think>{GOOD}"), "format"),
        (row(f"<think>{GOOD}</think> \n"), "format"),
        (row(f"Well. <think>{GOOD}</think> 7"), "format"),
        (row(" \n "), "too short"),
        (row(r1(GOOD), finish_reason="length"), "cut off"),
        (row(r1(GOOD + " 所以答案是七。我们再检查一次这个结果。")), "mixed languages"),
        (row(r1("三加四等于七，所以答案是七。"), "三加四等于多少？"), None),
        (
            row(r1("So 三加四等于七, and the answer is seven."), "三加四等于多少？"),
            "mixed languages",
        ),
        (row(r1("Three and four is seven."), "三加四？", language="en"), None),
        (row(r1("π = 3 时 $\\text{area} = 4$ 面积是四"), "面积是多少？"), None),
        (row(r1(GOOD + "\n```python\nprint(3 + 4)\n```\n")), "code in the thought"),
        (row(r1(GOOD, "\n```python\nprint(3 + 4)\n```\n")), None),
        (row(r1("Use ``` as a sign. " + GOOD)), None),
        (row(r1(LONG)), "long paragraph"),
        (row(r1(LONG.replace(" ", "\n"))), None),
        (row("<think> a </think>" + GOOD + " wait, no." * 40), "loop"),
        (row(r1((GOOD + "\n") * 3)), "repetition"),
    ],
)
def test_reasons(given: Row, reason: str | None) -> None:
    assert drop_reason(given, FilterConfig()) == reason


def test_every_filter_can_be_switched_off() -> None:
    off = FilterConfig(
        min_characters=0,
        allow_truncated=True,
        format="any",
        min_language=0,
        max_repetition=1,
        allow_loop=True,
        max_paragraph_characters=0,
        allow_code_in_thought=True,
    )
    bad = row("```\n" + LONG + " 答案" + " no." * 900, finish_reason="length")
    assert drop_reason(bad, FilterConfig()) is not None
    assert drop_reason(bad, off) is None
    assert drop_reason(bad, off.model_copy(update={"max_characters": 100})) == "too long"


def test_strict_format() -> None:
    strict = FilterConfig(format="r1")
    assert drop_reason(row(r1(GOOD)), strict) is None
    assert drop_reason(row(f"<think>{GOOD}</think> The sum is 7."), strict) == "format"
    assert drop_reason(row(f"{GOOD}</think><answer>7</answer>", "q <think>"), strict) is None


def test_no_loop_is_missed_by_the_quick_look() -> None:
    chance = random.Random(0)
    found = 0
    for _ in range(3000):
        period = "".join(chance.choices("ab \n", k=chance.randint(1, 60)))
        text = "".join(chance.choices("ab ", k=chance.randint(0, 40))) + period * chance.randint(
            1, 9
        )
        text += period[: chance.randrange(len(period))]
        if ending_loop(text):
            found += 1
            assert may_loop(text)
    assert found > 500
    assert not may_loop(LONG)


def test_no_repetition_is_missed_by_the_quick_look() -> None:
    chance = random.Random(0)
    words = [
        "Wait,",
        "3+4",
        "=",
        "7",
        "所以",
        "\\frac{1}{2}",
        "check",
        "Maße",
        *map(str, range(60)),
    ]
    outcomes = set()
    for _ in range(2000):
        parts = [" ".join(chance.choices(words, k=chance.randint(1, 90))) for _ in range(3)]
        text = " \n".join(chance.choices(parts, k=chance.randint(1, 4)))
        share = chance.choice([0.0, 0.05, 0.2, 0.5])
        is_repeating = -repetition_penalty(text) > share
        assert may_repeat(text, share) or not is_repeating
        outcomes.add((may_repeat(text, share), is_repeating))
    assert {(True, True), (False, False)} <= outcomes
