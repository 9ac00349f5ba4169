r"""One spelling for the many ways of writing the same LaTeX. Everything here is linear in the text.

What is taken away never changes a value: spacing commands, ``\left`` and ``\right``, display
styles, dollar signs around formulas, text commands around everything.
"""

from __future__ import annotations

import re

from ponder.verify.numbers import PLAIN_CHARACTERS

MAX_CHARACTERS = 2_000
"""Longer answers are only ever equal as text."""
MAX_WRAPPERS = 8

_SYMBOLS = {
    "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "∞": r"\infty ", "π": r"\pi ", "√": r"\sqrt ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "±": r"\pm ", "∓": r"\mp ", "∅": r"\emptyset ", "°": r"^\circ ", "ℝ": r"\mathbb{R}",
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "÷": "/", "、": ",",
    "²": "^{2}", "³": "^{3}", "½": r"\frac12 ", "⅓": r"\frac13 ", "¼": r"\frac14 ",
    "¾": r"\frac34 ",
    "⅔": r"\frac23 ", "“": "", "”": "", "\u200b": "", "\ufeff": "", "\u2060": "",
}  # fmt: skip
_CHARACTERS = PLAIN_CHARACTERS | str.maketrans(_SYMBOLS)

_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<!\\)\\!\s*", ""),
        (r"(?<=[0-9])\{,\}(?=[0-9]{3})", ""),
        (r"\\(?:left|right|middle)(?![A-Za-z])\s*\.?", ""),
        (r"\\[bB]igg?[lrm]?(?![A-Za-z])", ""),
        (r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits)(?![A-Za-z])", " "),
        (r"(?<!\\)\\[,;:> ]|\\q?quad(?![A-Za-z])|\\(?:thin|med|thick)space|~", " "),
        (r"\\[hv]space\*?\{[^{}]*\}", " "),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\[dt]binom(?![A-Za-z])", r"\\binom"),
        (r"\\(?:leqslant|leq|le)(?![A-Za-z])", r"\\le "),
        (r"\\(?:geqslant|geq|ge)(?![A-Za-z])", r"\\ge "),
        (r"\\(?:neq|ne)(?![A-Za-z])", r"\\ne "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\(?:varnothing|emptyset)(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset "),
        (r"\\lbrace(?![A-Za-z])", r"\\{"),
        (r"\\rbrace(?![A-Za-z])", r"\\}"),
        (r"\\(?:cdot|times|ast)(?![A-Za-z])", "*"),
        (r"\\div(?![A-Za-z])", "/"),
        (r"\\imath(?![A-Za-z])", "i"),
        (r"\\text(?:normal|up|md)(?![A-Za-z])", r"\\text"),
        (r"\\(?:mathrm|operatorname|rm|text)\s*\{\s*([ei])\s*\}", r"{\1}"),
        (r"\\(?:mathit|mathbf|mathsf|boldsymbol|bm)\s*\{\s*([A-Za-z])\s*\}", r"{\1}"),
        (r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})|\\degree(?![A-Za-z])", r"^\\circ "),
        (r"\\(?:R|Reals|reals)(?![A-Za-z])|\\(?:mathbb|bf|mathbf)\s*(?:R(?![A-Za-z])|\{\s*R\s*\})",
         r"\\reals "),
        (r"\{\s*\+\s*\\infty\s*\}|\+\s*\\infty(?![A-Za-z])", r"\\infty "),
        (r"(?<!\\)\\%", "%"),
        (r"\\(?:small|normalsize|large|Large|huge|Huge|bf|rm|it|bm|underline)(?![A-Za-z])", ""),
        (r"\\(?:text)?color\s*\{[^{}]*\}", ""),
        (r"\\\\\s*$", ""),
    )
]  # fmt: skip
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"))
_NAMES = r"text|textbf|textrm|textit|textsf|emph|mathrm|mathbf|mathit|mathsf|mbox|hbox|boxed|fbox"
_TEXT = re.compile(rf"\\(?:{_NAMES})(?![A-Za-z])\s*\{{")
_ANY_TEXT = re.compile(rf"\\(?:{_NAMES})(?![A-Za-z])")
_SPACE = re.compile(r"\s+")
_LOOSE_SPACE = re.compile(r"(?<![0-9A-Za-z])\s+|\s+(?![0-9A-Za-z])|(?<=[A-Za-z])\s+(?=[0-9])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def normal_text(text: str) -> str:
    """The text in the one spelling, wrappers taken off; "" if nothing is left."""
    plain = text.translate(_CHARACTERS)
    for pattern, replacement in _REWRITES:
        plain = pattern.sub(replacement, plain)
    return unwrapped(_SPACE.sub(" ", plain))


def unwrapped(text: str) -> str:
    """Without the dollar signs, text commands, braces and full stops around everything."""
    plain = text.strip()
    for _ in range(MAX_WRAPPERS):
        before = plain
        plain = _without_braces(_without_marks(plain))
        if plain == before:
            break
    return plain


def _without_marks(text: str) -> str:
    """Without one full stop at the end and one pair of formula marks."""
    if text.endswith((".", "。", ",", ";")) and not text.endswith(("..", r"\,", r"\;")):
        text = text[:-1].rstrip()
    for left, right in _WRAPPERS:
        if text.startswith(left) and text.endswith(right):
            inside = text[len(left) : -len(right)].strip()
            if inside and left not in inside:
                return inside
    return text


def _without_braces(text: str) -> str:
    """The inside, if one pair of braces (and perhaps a text command) is around everything."""
    command = _TEXT.match(text)
    start = command.end() - 1 if command else 0
    if not text.startswith("{", start) or closing_brace(text, start) != len(text) - 1:
        return text
    return text[start + 1 : -1].strip()


def closing_brace(text: str, start: int) -> int:
    """Where the brace that opens at ``start`` is closed, or -1."""
    depth = 0
    for match in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1


def is_balanced(text: str) -> bool:
    depth = 0
    for match in _BRACE.finditer(text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0


def text_key(text: str) -> str:
    """What two texts share that differ in spelling alone; takes the result of ``normal_text``.

    Space between letters or digits is kept: "1 2" is not "12".
    """
    return _LOOSE_SPACE.sub("", text)


def words_key(text: str) -> str:
    """As ``text_key`` for words: without text commands and braces, in one case."""
    bare = _ANY_TEXT.sub(" ", text).replace("{", " ").replace("}", " ")
    return " ".join(bare.split()).rstrip(".,").casefold()
