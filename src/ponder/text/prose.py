"""The words of a text by script; formulas, code, addresses and names of commands are no words.

Linear in the length of the text, whatever the text is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

_BLOCKS: dict[str, str] = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
    "\uff21-\uff3a\uff41-\uff5a\u0300-\u036f",
    "han": "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "kana": "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "hangul": "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "arabic": "\u0610-\u061a\u0620-\u065f\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff"
    "\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "hebrew": "\u0591-\u05bd\u05d0-\u05f4\ufb1d-\ufb4f",
    "armenian": "\u0531-\u0556\u0560-\u0588",
    "georgian": "\u10a0-\u10ff\u1c90-\u1cbf\u2d00-\u2d2f",
    "devanagari": "\u0900-\u0963\u0971-\u097f",
    "bengali": "\u0980-\u09e3",
    "gurmukhi": "\u0a01-\u0a5e\u0a70-\u0a75",
    "gujarati": "\u0a81-\u0ae3",
    "tamil": "\u0b82-\u0bd7",
    "telugu": "\u0c00-\u0c63",
    "kannada": "\u0c80-\u0ce3",
    "malayalam": "\u0d00-\u0d63",
    "thai": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "lao": "\u0e81-\u0ebd\u0ec0-\u0ecd\u0edc-\u0edf",
    "myanmar": "\u1000-\u103f\u1050-\u109f",
    "khmer": "\u1780-\u17d3",
    "ethiopic": "\u1200-\u135f",
}
SCRIPTS: tuple[str, ...] = tuple(_BLOCKS)
"""Scripts that are told apart; the letters of all others are the script "other"."""

_CHARACTERS_PER_WORD = {"han": 1, "kana": 2, "thai": 4, "lao": 4, "myanmar": 4, "khmer": 4}
"""Scripts written without spaces between words."""

_RUN = re.compile(
    "|".join(
        f"(?P<{name}>[{block}]++(?:['\u2019][{block}]++)*+)" for name, block in _BLOCKS.items()
    )
    + r"|(?P<other>[^\W\d_])"
)
_SYMBOLIC = {"latin", "greek", "cyrillic"}
"""Scripts whose single letters are the names of quantities, in any language."""
_FUNCTION_NAMES = "sin cos tan cot sec csc log ln lg exp mod gcd lcm max min arcsin arccos arctan"
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())


def script_words(text: str) -> Iterator[tuple[str, int]]:
    """Runs of one script and how many words each counts for.

    A word is a run of letters. Where a script puts no spaces between words, a Han character counts
    as one word, two kana as one, and four letters of Thai, Lao, Burmese or Khmer as one. No words
    are: single Latin, Greek or Cyrillic letters (x, π), runs next to a digit or underscore (H2O,
    x_1) in these scripts, and the names of functions (sin, gcd).
    """
    plain = without_formulas_and_code(text)
    for match in _RUN.finditer(plain):
        script = match.lastgroup or "other"
        if script in _SYMBOLIC and _is_symbol(plain, match):
            continue
        yield script, -(-len(match[0]) // _CHARACTERS_PER_WORD.get(script, len(match[0])))


def _is_symbol(text: str, match: re.Match[str]) -> bool:
    if len(match[0]) == 1 or match[0] in _FUNCTIONS:
        return True
    around = text[max(match.start() - 1, 0) : match.start()] + text[match.end() : match.end() + 1]
    return any(character.isdigit() or character == "_" for character in around)


_OPENER = re.compile(
    r"```|~~~|`|\$\$|\$|\\\(|\\\[|\\begin\{(?P<environment>[A-Za-z]{1,30}\*?)\}|\\[A-Za-z]+|\\."
    r"|(?:https?://|www\.)[^\s\u3000-\uffef]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}|</?[a-z]{1,20}>"
)
_ENVIRONMENT_END = re.compile(r"\\end\{([A-Za-z]{1,30}\*?)\}")
_CLOSERS = {"```": "```", "~~~": "~~~", "`": "`", "$$": "$$", "$": "$", r"\(": r"\)", r"\[": r"\]"}
_TO_THE_END = {"```", "~~~"}
"""A fence that is never closed holds all the rest; any other opener is then an ordinary sign."""
_ON_ONE_LINE = {"`", "$"}


def without_formulas_and_code(text: str) -> str:
    r"""The text with a blank for each formula, code, address, tag and name of a LaTeX command.

    Formulas: ``$..$`` (as pandoc reads it: no blank inside next to a dollar, no digit after the
    second, one line, so that "$5 and $6" is money), ``$$..$$``, ``\(..\)``, ``\[..\]`` and
    ``\begin{..}..\end{..}``. Code: fenced, and between backticks on one line.
    """
    kept: list[str] = []
    closers = _Closers(text)
    position = 0
    while opener := _OPENER.search(text, position):
        kept.append(text[position : opener.start()])
        position = _end(text, opener, closers)
        kept.append(" ")
    kept.append(text[position:])
    return "".join(kept)


class _Closers:
    """Where closers come next, in time linear in the text however many openers ask.

    A sign that does not come any more is looked for in vain only once; the ends of environments,
    which may have any number of names, are found all at once.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.missing: set[str] = set()
        self.ends: dict[str, list[int]] | None = None

    def next_sign(self, closer: str, start: int) -> int:
        """Where it begins, or -1."""
        if closer in self.missing:
            return -1
        found = self.text.find(closer, start)
        if found < 0:
            self.missing.add(closer)
        return found

    def after_environment(self, name: str, start: int) -> int:
        """Where the text goes on after the environment, or -1."""
        if self.ends is None:
            self.ends = {}
            for match in _ENVIRONMENT_END.finditer(self.text):
                self.ends.setdefault(match[1], []).append(match.end())
        ends = self.ends.get(name, [])
        place = bisect_right(ends, start)
        return ends[place] if place < len(ends) else -1


def _end(text: str, opener: re.Match[str], closers: _Closers) -> int:
    """Where the stretch that begins here ends: after its closer, or right after the opener."""
    sign, start = opener[0], opener.end()
    if opener["environment"]:
        return max(start, closers.after_environment(opener["environment"], start))
    closer = _CLOSERS.get(sign)
    if closer is None:
        return start
    found = closers.next_sign(closer, start)
    if found < 0:
        return len(text) if sign in _TO_THE_END else start
    if sign in _ON_ONE_LINE and not _is_inline(sign, text, start, found):
        return start
    return found + len(closer)


def _is_inline(sign: str, text: str, start: int, end: int) -> bool:
    if "\n" in text[start:end]:
        return False
    if sign == "`":
        return end > start
    is_tight = end > start and not text[start].isspace() and not text[end - 1].isspace()
    return is_tight and not text[end + 1 : end + 2].isdigit()
