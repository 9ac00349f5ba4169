"""The Chinese wordings of the bilingual corpus, and thoughts that change language on the way.

As in English, words of reflection (``ponder.text.reflection``) stand where something is checked and
nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Literal

from ponder.corpus.phrases import CHINESE, ENGLISH, Phrases

Language = Literal["en", "zh"]

WIDER_CHINESE = replace(
    CHINESE,
    direct=(*CHINESE.direct, "{e}等于{v}。", "算出来是{v}。"),
    hunch=(*CHINESE.hunch, "看大小，{e}={v}。"),
    begin=(*CHINESE.begin, "分步计算：", "先看第一步，"),
    joiner=(*CHINESE.joiner, "；"),
    conclude=(*CHINESE.conclude, "。因此得到{v}。"),
    check=(
        "等等，让我检查一下：",
        "等等，我检查一下：",
        "让我验算：",
        "但是我要验证：",
        "不过，我应该验算一下：",
        "等等。",
        "我来验证：",
        "检查：",
    ),
    matches=(*CHINESE.matches, "。验算的结果相同，{v}。"),
    mistake=(*CHINESE.mistake, "。第一次的结果错了，是{v}。", "。这里有错误：不是{g}，是{v}。"),
    cosmetic=(*CHINESE.cosmetic, "我再检查一遍：{v}，没错。"),
    again=(*CHINESE.again, "等等，再验算一遍："),
)

PHRASES: dict[Language, Phrases] = {"en": ENGLISH, "zh": WIDER_CHINESE}

_TURNING = ("check", "again", "joiner")
_CLOSING = ("conclude", "matches", "mistake", "final")


def other(language: Language) -> Language:
    return "zh" if language == "en" else "en"


def switching(rng: Random, style: str, first: Language) -> Phrases:
    """Wordings of a thought in ``style`` that begins in ``first`` and does not stay with it.

    A thought with a check changes for the check alone or where the result is stated; one without
    changes at its end.
    """
    changed = _CLOSING if style == "steps" else rng.choice((_CLOSING, _TURNING))
    banks = PHRASES[other(first)]
    return replace(PHRASES[first], **{name: getattr(banks, name) for name in changed})
