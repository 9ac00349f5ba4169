"""Language consistency by script, and which language a question is in."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import PonderError
from ponder.text.language import LANGUAGES, count_scripts, detect_language, language_consistency
from ponder.text.prose import without_formulas_and_code

MIXED = "首先 let us 求出 the answer"  # 首先求出: four words; let us the answer: four words


def test_worked_shares() -> None:
    assert language_consistency("Let us add both sides.", "en") == 1.0
    assert language_consistency("Let us add both sides.", "zh") == 0.0
    assert language_consistency("先把两边相加。", "zh") == 1.0
    assert language_consistency("先把两边相加。", "en") == 0.0
    assert language_consistency(MIXED, "en") == 0.5
    assert language_consistency(MIXED, "zh") == 0.5
    assert language_consistency("所以the答案是yes", "zh") == 5 / 7
    assert language_consistency("Wait, 不对", "en") == 1 / 3


@pytest.mark.parametrize(
    ("target", "text", "num_words"),
    [
        ("ru", "Сложим обе части уравнения", 4),
        ("el", "Ας προσθέσουμε και τα δύο", 5),
        ("ar", "دعنا نجمع الطرفين", 3),
        ("ar", "مَرْحَبًا بِكَ", 2),
        ("he", "בוא נחבר את שני", 4),
        ("hi", "हिन्दी में दोनों पक्ष", 4),
        ("ko", "양변을 더하면 된다", 3),
        ("ja", "両辺を足します", 6),  # three Han characters and five kana
        ("th", "สวัสดีครับ", 3),
        ("fr", "Ajoutons l'égalité des deux côtés", 5),
        ("cyrillic", "Рівняння має розв'язок", 3),
    ],
)
def test_other_scripts(target: str, text: str, num_words: int) -> None:
    assert count_scripts(text).total() == num_words
    assert language_consistency(text, target) == 1.0
    assert language_consistency(text, "zh" if target != "ja" else "en") < 0.6


def test_formulas_code_numbers_and_addresses_are_no_words() -> None:
    noise = [
        r"$x + \text{area of } y$", r"\(abc + def\)", r"\[ \int foo \]", r"$$ \sum bar $$",
        r"\begin{align} one &= two \end{align}", "`print(hello)`", "```python\nfor i in data\n```",
        "https://example.com/some/path?query=word", "www.example.com", "me@example.org", "3.14",
        "x = y + z", r"\frac{1}{2} \cdot \alpha", "sin x + log y", "H2O", "x_1", "f(x)", "π",
        "100%", "<think>", "a, b, c", "---", "1e-5",
    ]  # fmt: skip
    for stretch in noise:
        assert count_scripts(stretch).total() == 0, stretch
        assert language_consistency(f"所以 {stretch} 成立", "zh") == 1.0, stretch


def test_what_is_not_a_formula() -> None:
    assert count_scripts("It costs $5 and later $6 more").total() == 5
    assert count_scripts("It costs $5-$6 here").total() == 3
    assert count_scripts("a lone ` tick here").total() == 3
    assert count_scripts("open \\( never closed here").total() == 4
    assert count_scripts("two $ signs\non two $ lines").total() == 5
    assert count_scripts("words before\n```\nall code after").total() == 2
    assert count_scripts(r"\text{words in a command}").total() == 3


def test_no_words_is_consistent() -> None:
    for text in ("", "  \n", "1 + 1 = 2", "$abc$", "!!!"):
        assert language_consistency(text, "en") == 1.0


def test_latin_languages_are_not_told_apart() -> None:
    assert language_consistency("Quelle est la réponse", "en") == 1.0


def test_unknown_targets() -> None:
    with pytest.raises(PonderError, match="zh"):
        language_consistency("x", "klingon")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is 2 + 2?", "en"),
        ("小明有三个苹果，他吃了 1 个", "zh"),
        ("Alice 和 Bob 一共有多少个苹果？", "zh"),
        ("太郎は りんごを 三個 買いました", "ja"),
        ("사과가 몇 개 있습니까", "ko"),
        ("Сколько яблок у Маши?", "ru"),
        ("Πόσα μήλα", "el"),
        ("كم تفاحة", "ar"),
        ("1 + 1 = ?", "en"),
        ("", "en"),
    ],
)
def test_detect(text: str, language: str) -> None:
    assert detect_language(text) == language
    assert language in LANGUAGES


def test_every_detected_language_is_a_target() -> None:
    assert detect_language("𐎀𐎁", default="zh") == "zh"
    assert all(scripts for scripts in LANGUAGES.values())


@given(st.text(max_size=300), st.sampled_from(sorted(LANGUAGES)))
def test_a_share_for_any_text(text: str, target: str) -> None:
    assert 0.0 <= language_consistency(text, target) <= 1.0
    assert detect_language(text) in LANGUAGES


@given(st.text(alphabet="a`$\\()[]~ \n{}beginend1中", max_size=200))
def test_nothing_is_made_up(text: str) -> None:
    left = without_formulas_and_code(text)
    assert count_scripts(left)["han"] <= text.count("中")


@pytest.mark.parametrize(
    "unit",
    ["$", "$ ", "`", "\\(", "\\[", "```", "\\begin{a}", "a@", "$a", "http://", "<", "中a", "\\",
     "a.", "ab", "a'"],
)  # fmt: skip
def test_linear_time(unit: str) -> None:
    def seconds(repeats: int) -> float:
        text = unit * repeats
        began = time.perf_counter()
        language_consistency(text, "en")
        return time.perf_counter() - began

    seconds(1_000)
    short, long = (min(seconds(size) for _ in range(3)) for size in (10_000, 40_000))
    assert long < 12 * short + 0.05
