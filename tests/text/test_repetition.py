"""Repeated n-grams and endings that loop."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.text.repetition import Loop, ending_loop, repetition_penalty


def test_worked_by_hand() -> None:
    # a b a b a: bigrams ab ba ab ba, two of four are new
    assert repetition_penalty("a b a b a", ngram=2) == -0.5
    assert repetition_penalty("A b, a B", ngram=2) == -0.25  # "a b", "b ,", ", a", "a b"
    assert repetition_penalty("one two three", ngram=4) == 0.0
    assert repetition_penalty("", ngram=1) == 0.0
    assert repetition_penalty("好好好好", ngram=1) == -0.75
    assert repetition_penalty("我们先算我们先算", ngram=4) == pytest.approx(-1 / 5)


def test_chinese_and_english_loops_cost_alike() -> None:
    english = repetition_penalty("wait, let me check the whole sum again. " * 50)
    chinese = repetition_penalty("等一下，让我再检查一遍整个算式。" * 50)
    assert -1.0 < english < -0.9
    assert -1.0 < chinese < -0.9


def test_sound_text_costs_next_to_nothing() -> None:
    text = (
        "There are 16 eggs a day. She eats 3 for breakfast and bakes with 4, which leaves "
        "16 - 3 - 4 = 9 eggs. At 2 dollars each she makes 9 * 2 = 18 dollars a day. Let me check: "
        "9 + 3 + 4 = 16, so the number of eggs is right, and 18 / 2 = 9 as well."
    )
    assert repetition_penalty(text) == 0.0
    assert ending_loop(text) is None


def test_loops_at_the_end() -> None:
    start = "Let us see what the sum of these numbers is. "
    assert ending_loop(start + "I am not sure. " * 20) == Loop(15, pytest.approx(20, abs=0.2))
    cut = start + ("wait, " * 100)[:-3]
    assert ending_loop(cut) is not None
    assert ending_loop(start + "哈" * 200) == Loop(1, 200.0)
    assert ending_loop(start + "等等，" * 60) == Loop(3, 60.0)
    assert ending_loop("0." + "3" * 500) == Loop(1, 500.0)


def test_no_loops() -> None:
    for text in ("", "a", "ha ha ha ha", "1 2 3 " * 3, " ".join(map(str, range(500)))):
        assert ending_loop(text) is None
    assert ending_loop("I am not sure. " * 20 + "But then the answer is plainly 5.") is None
    assert ending_loop("abcdefghij" * 12, min_repeats=13) is None
    assert ending_loop("abcdefghij" * 12, min_repeats=12) == Loop(10, 12.0)


@given(st.text(max_size=100), st.integers(1, 6))
def test_in_its_range(text: str, ngram: int) -> None:
    assert -1.0 <= repetition_penalty(text, ngram) <= 0.0


@given(st.text(alphabet="ab \n", max_size=60), st.text(min_size=1, max_size=12))
def test_a_planted_loop_is_found(start: str, unit: str) -> None:
    text = start + unit * 150
    found = ending_loop(text, min_characters=20)
    if len(" ".join(text.split())) - len(" ".join(start.split())) > 60:
        assert found is not None


def test_linear_time() -> None:
    letters = random.Random(0).choices("ab", k=200_000)

    def seconds(size: int) -> float:
        text = "".join(letters[:size])
        began = time.perf_counter()
        repetition_penalty(" ".join(text))
        ending_loop("a" * size)
        return time.perf_counter() - began

    short, long = (min(seconds(size) for _ in range(2)) for size in (20_000, 80_000))
    assert long < 12 * short + 0.1


def test_a_bad_length_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        repetition_penalty("a", ngram=0)
