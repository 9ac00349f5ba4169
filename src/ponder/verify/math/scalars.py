r"""Single quantities with what is written around them: units, percent signs, bases, plus-minus.

Raises NoValueError for a text that has no value, such as ``1/0``.
"""

from __future__ import annotations

import re

from ponder.verify.math.algebra import Ratio, number
from ponder.verify.math.expression import value_or_none
from ponder.verify.math.normal import words_key
from ponder.verify.math.values import Infinity, Listing, Proportion, Scalar, Value, Words
from ponder.verify.numbers import parse_number
from ponder.verify.units import normal_unit

_LETTER_AFTER_DIGIT = re.compile(r".*[0-9}][A-Za-z]", re.DOTALL)
_UNIT_COMMAND = re.compile(
    r"\\(?:text|textrm|textbf|mathrm|mbox|rm|operatorname)\s*\{(?P<unit>[^{}]{0,60})\}\s*"
    r"(?P<power>\^\s*(?:\{\s*[23]\s*\}|[23]))?"
)
_DEGREES = re.compile(r"\^\\circ\s*|\^\{\\circ\}\s*")
_BASED = re.compile(
    r"(-?\(?[0-9][0-9A-Za-z]*)\)?_(?:([0-9])|\{\s*(?:\\text\s*\{)?\s*(\w{1,8})\s*\}{1,2})"
)
_BASE_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16,
}  # fmt: skip
_PROPORTION = re.compile(r"([0-9]{1,9}(?: ?: ?[0-9]{1,9}){1,4})(?: ?([ap])\.? ?m\.?)?")
_WORDS = re.compile(r"[^\W\d_]+(?:[ '.\-][ ]?[^\W\d_]+)*")
_ARITHMETIC = re.compile(
    r"[0-9)}]\s*(?:[-+*/÷×]|\\times|\\cdot|\\div|\\ast)\s*(?:[0-9.({-]|\\[dt]?frac|\\left)"
    r"|[0-9)]\s*(?:\\left)?\(|^[-+]\s*\(?\s*[-+]"
)
_FUNCTION = re.compile(
    r"\\(?:a(?:rc)?)?(?:sin|cos|tan|cot|sec|csc|ln|lg|log|exp|lfloor|lceil|lvert|vert)(?![A-Za-z])|\|"
)
_COMMAND = re.compile(r"\\[A-Za-z]+")
_LETTER = re.compile(r"[A-Za-z]")
_MIXED_SUM = re.compile(
    r"[0-9]+\s*\+\s*(?:[0-9]+/[0-9]+|\\[dt]?frac\s*(?:\{[0-9]+\}|[0-9])\s*(?:\{[0-9]+\}|[0-9]))"
)
_CHINESE_DIGITS = {c: v for v, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_CHINESE_TENS = {"十": 10, "百": 100, "千": 1000}


def plain_number(text: str) -> tuple[str, Scalar] | None:
    """A number with its unit, percent sign and variable, as ``verify.numbers`` reads it."""
    found = parse_number(text)
    if found is None or (len(found.unit) == 1 and _LETTER_AFTER_DIGIT.fullmatch(text)):
        return None  # "3m" may be three times m
    exact = rf"\frac{{{found.value.numerator}}}{{{found.value.denominator}}}"
    return found.variable, Scalar(exact, number(found.value), found.unit, found.is_percent)


def read_scalar(text: str) -> Value:
    """Infinity, words, a proportion, two values of a plus-minus sign, or one quantity."""
    if (sign := _infinite(text)) is not None:
        return Infinity(sign)
    if r"\pm" in text or r"\mp" in text:
        return _plus_minus(text)
    if match := _BASED.fullmatch(text):
        return _based(text, match)
    if 0 < len(text) <= 12 and (value := _chinese(text)) is not None:
        return Scalar(text, number(value))
    key = words_key(text)
    if match := _PROPORTION.fullmatch(key):
        return Proportion(tuple(part.strip() for part in match[1].split(":")), match[2] or "")
    if _WORDS.fullmatch(key) and (len(key) > 2 or not key.isascii()):
        return Words(key)
    return _quantity(text)


def is_unworked(text: str) -> bool:
    r"""Whether a text is work still to be done, such as ``2+3``: perhaps the problem's own.

    So are functions (``\log_2 8``) and letters (``x/x``); a number in scientific form, a fraction
    and a mixed number (``3+1/2``) are not, nor a root, a power or a factorial.
    """
    if parse_number(text) is not None or _MIXED_SUM.fullmatch(text):
        return False
    has_letter = _LETTER.search(_COMMAND.sub(" ", text))
    return bool(has_letter or _ARITHMETIC.search(text) or _FUNCTION.search(text))


def _infinite(text: str) -> int | None:
    bare = text.replace(" ", "").lower()
    if bare in (r"\infty", "infinity", r"+\infty"):
        return 1
    return -1 if bare in (r"-\infty", "-infinity") else None


def _plus_minus(text: str) -> Value:
    upper = text.replace(r"\pm", "+").replace(r"\mp", "-")
    lower = text.replace(r"\pm", "-").replace(r"\mp", "+")
    return Listing((_quantity(upper), _quantity(lower)))


def _based(text: str, match: re.Match[str]) -> Scalar:
    """A number written in a base that stands below it."""
    word = match[2] or match[3]
    base = int(word) if word.isdecimal() else _BASE_WORDS.get(word.lower(), 0)
    value = _in_base(match[1].replace("(", ""), base)
    return _quantity(text) if value is None else Scalar(text, number(value), base=base)


def _in_base(digits: str, base: int) -> int | None:
    if not 2 <= base <= 36 or len(digits) > 200:
        return None
    try:
        return int(digits, base)
    except ValueError:  # a digit that this base does not have
        return None


def _chinese(text: str) -> int | None:
    """Whole numbers below 10,000: 五, 十二, 三百零五."""
    if not all(c in _CHINESE_DIGITS or c in _CHINESE_TENS for c in text):
        return None
    total, digit, smallest = 0, None, 10_000
    for character in text:
        if (tens := _CHINESE_TENS.get(character)) is not None:
            if tens >= smallest or (digit is None and tens != 10):
                return None
            total, digit, smallest = total + tens * (1 if digit is None else digit), None, tens
        elif digit:
            return None
        else:
            digit = _CHINESE_DIGITS[character]
    return total + (digit or 0)


def _quantity(text: str) -> Scalar:
    body, unit, is_percent = _around(text.strip())
    value = value_or_none(body)
    if value is None and unit == "degree":  # of an angle within: \\sin 30^\\circ
        return Scalar(text, None)
    return Scalar(body, value, unit, is_percent)


def _around(text: str) -> tuple[str, str, bool]:
    """The expression without what stands around it, the unit, and whether it is a percentage."""
    if text.endswith("%"):
        return text[:-1].rstrip(), "", True
    if text.startswith((r"\$", "$")):
        return text[text.index("$") + 1 :].lstrip(), "dollar", False
    if match := _at_end(_DEGREES, text, text.rfind("^")):
        return text[: match.start()].rstrip(), "degree", False
    if match := _at_end(_UNIT_COMMAND, text, text.rfind("\\")):
        unit = normal_unit(match["unit"] + (match["power"] or ""), is_attached=False)
        if unit is not None and match.start():
            return text[: match.start()].rstrip(), unit, False
    body, *words = text.rsplit(" ", 2)
    for start in range(len(words)):
        unit = normal_unit(" ".join(words[start:]), is_attached=False)
        if unit and len(words[start]) > 1:
            return " ".join([body, *words[:start]]).rstrip(), unit, False
    return text, "", False


def _at_end(pattern: re.Pattern[str], text: str, start: int) -> re.Match[str] | None:
    return pattern.fullmatch(text, start) if start > 0 else None


def degrees_in_radians(scalar: Scalar) -> Ratio | None:
    """The value of an angle in degrees, in radians."""
    return value_or_none(rf"({scalar.text})*\pi/180") if scalar.unit == "degree" else None
