"""Chinese counterparts of the paper's ten reflective words: a list of ours, counted on its own.

The paper counts ten English words (``ponder.text.reflection``); no figure under its name may hold
anything else.
"""

from __future__ import annotations

import re

CHINESE_REFLECTIVE_WORDS = (
    "等等", "等一下",  # wait
    "错",  # mistake, error, wrong: 错误, 算错, 出错, 错了
    "不对",  # wrong
    "然而", "不过",  # however
    "但是",  # but
    "重试", "重新算", "重算",  # retry
    "验证", "验算", "核实",  # verify
    "评估",  # evaluate
    "检查", "核对",  # check
)  # fmt: skip
"""Found anywhere: Chinese puts no blanks between words. So 等等 as "and so on" counts too."""

_DENIALS = ("没错", "不错")
"""Words that hold one of the list and mean the contrary: right, good."""

_WORD = re.compile("|".join((*_DENIALS, *CHINESE_REFLECTIVE_WORDS)))


def count_chinese_reflective_words(text: str) -> int:
    """How many of the Chinese reflective words stand in the text."""
    return sum(match[0] not in _DENIALS for match in _WORD.finditer(text))
