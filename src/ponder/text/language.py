"""Language consistency: the share of a thought's words that are in the target language.

R1's extra reward, "the proportion of target language words in the CoT", Num(words in the target
language) / Num(words), added to the final reward as it stands (arXiv 2501.12948 v2, 2.3.2). The
paper does not say how words are told apart; here they are told by *script* (``prose.script_words``
says what a word is). So Chinese, English, Russian or Korean in one sentence are told apart; French
and English, or Russian and Bulgarian, are not: for every language written in Latin letters the
target only says "Latin letters".
"""

from __future__ import annotations

from collections import Counter

from ponder.errors import PonderError
from ponder.text.prose import SCRIPTS, script_words

_LATIN = "en fr de es it pt nl sv da no fi pl cs sk hu ro hr sl et lv lt tr vi id ms sw"
_CYRILLIC = "ru uk be bg sr mk kk mn"
LANGUAGES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_LATIN.split(), ("latin",)),
    **dict.fromkeys(_CYRILLIC.split(), ("cyrillic",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("arabic",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("devanagari",)),
    "zh": ("han",),
    "ja": ("han", "kana"),
    "ko": ("hangul",),
    "el": ("greek",),
    "he": ("hebrew",),
    "hy": ("armenian",),
    "ka": ("georgian",),
    "bn": ("bengali",),
    "pa": ("gurmukhi",),
    "gu": ("gujarati",),
    "ta": ("tamil",),
    "te": ("telugu",),
    "kn": ("kannada",),
    "ml": ("malayalam",),
    "th": ("thai",),
    "lo": ("lao",),
    "my": ("myanmar",),
    "km": ("khmer",),
    "am": ("ethiopic",),
} | {script: (script,) for script in SCRIPTS}
"""The scripts of a target: ISO 639-1 codes, and the scripts themselves."""

_FIRST_LANGUAGE = {
    "latin": "en", "han": "zh", "kana": "ja", "hangul": "ko", "cyrillic": "ru", "greek": "el",
    "arabic": "ar", "hebrew": "he", "armenian": "hy", "georgian": "ka", "devanagari": "hi",
    "bengali": "bn", "gurmukhi": "pa", "gujarati": "gu", "tamil": "ta", "telugu": "te",
    "kannada": "kn", "malayalam": "ml", "thai": "th", "lao": "lo", "myanmar": "my", "khmer": "km",
    "ethiopic": "am",
}  # fmt: skip
_KANA_SHARE = 0.1
"""Han with at least this share of kana is Japanese."""


def language_consistency(thought: str, target: str) -> float:
    """The share, in [0, 1], of the thought's words that are in the target language.

    A text without words (nothing but formulas, numbers and code) mixes no languages: 1.0.

    Args:
        thought: what stands in <think>; the paper counts no more than that.
        target: "en", "zh" and so on, or the name of a script, see ``LANGUAGES``.

    Raises PonderError for another target.
    """
    scripts = scripts_of(target)
    counts = count_scripts(thought)
    total = sum(counts.values())
    return sum(counts[script] for script in scripts) / total if total else 1.0


def scripts_of(target: str) -> tuple[str, ...]:
    """The scripts that a target is written in; PonderError if there is no such target."""
    if target not in LANGUAGES:
        raise PonderError("language", target, f"use one of {', '.join(LANGUAGES)}")
    return LANGUAGES[target]


def count_scripts(text: str) -> Counter[str]:
    """Words by script."""
    counts: Counter[str] = Counter()
    for script, num_words in script_words(text):
        counts[script] += num_words
    return counts


def detect_language(text: str, default: str = "en") -> str:
    """The target that a question asks for: the first language of its most frequent script.

    "en" stands for every language in Latin letters, "ru" for every one in Cyrillic, and so on.
    ``default`` is for texts without words, or in a script that has no name here.
    """
    counts = count_scripts(text)
    han_and_kana = counts["han"] + counts["kana"]
    if counts["kana"] and counts["kana"] >= _KANA_SHARE * han_and_kana:
        counts["kana"], counts["han"] = han_and_kana, 0
    if not counts.total():
        return default
    script = max(counts, key=lambda name: (counts[name], name))
    return _FIRST_LANGUAGE.get(script, default)
