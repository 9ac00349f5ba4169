"""Counting the ten reflective words."""

from __future__ import annotations

from ponder.text.reflection import REFLECTIVE_WORDS, count_by_word, count_reflective_words


def test_the_papers_ten_words() -> None:
    assert set(REFLECTIVE_WORDS) == {
        "wait", "mistake", "however", "but", "retry",
        "error", "verify", "wrong", "evaluate", "check",
    }  # fmt: skip
    assert len(REFLECTIVE_WORDS) == 10


def test_counts_whole_words_in_any_case() -> None:
    text = "Wait, wait. WAIT! That's an aha moment; but let me check: 7*8=56, wrong?check"
    counts = count_by_word(text)
    assert counts["wait"] == 3
    assert (counts["but"], counts["check"], counts["wrong"]) == (1, 2, 1)
    assert counts["verify"] == 0
    assert list(counts) == list(REFLECTIVE_WORDS)
    assert count_reflective_words(text) == sum(counts.values()) == 7


def test_parts_and_forms_of_words_do_not_count() -> None:
    assert count_reflective_words("waiter await button checks checked errors mistakes rebut") == 0
    assert count_reflective_words("") == 0


def test_words_beside_other_scripts_and_signs_count() -> None:
    assert count_by_word("<think>wait</think>\nhowever,\n(but)")["wait"] == 1
    assert count_reflective_words("<think>wait</think>\nhowever,\n(but)") == 3
