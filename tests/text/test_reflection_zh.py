"""Chinese reflective words: a list beside the paper's ten, never in it."""

from __future__ import annotations

import pytest

from ponder.text.reflection import REFLECTIVE_WORDS, count_reflective_words
from ponder.text.reflection_zh import CHINESE_REFLECTIVE_WORDS, count_chinese_reflective_words


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("等等，让我检查一下：6*7=42。", 2),
        ("刚才算错了，是42。", 1),
        ("没错，结果不错。", 0),
        ("42不对，应该是43。这里有错误。", 2),
        ("但是我要验证，不过，验算：", 4),
        ("首先，6*7=42，所以是42。", 0),
        ("Wait, let me check.", 0),
        ("", 0),
    ],
)
def test_counts(text: str, count: int) -> None:
    assert count_chinese_reflective_words(text) == count


def test_the_papers_words_are_none_of_these() -> None:
    assert all(count_reflective_words(word) == 0 for word in CHINESE_REFLECTIVE_WORDS)
    assert all(count_chinese_reflective_words(word) == 0 for word in REFLECTIVE_WORDS)
    assert len(set(CHINESE_REFLECTIVE_WORDS)) == len(CHINESE_REFLECTIVE_WORDS)
    assert count_reflective_words("等等 wait, 检查: check") == 2
