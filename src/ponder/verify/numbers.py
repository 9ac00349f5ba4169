r"""Text of a single number, read exactly: integers, decimals, fractions, percent, money, units.

Prefers a false negative to a false positive: what is not plainly one number ("5 or 6", "5 dozen",
"about 5", "x=4=5") is no number. No text is ever evaluated, and nothing is rounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ponder.verify.units import normal_unit

MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Number:
    """A number and what was written around it.

    Attributes:
        value: exact; 50 for "50%".
        is_percent: a percent sign or the word stood after it.
        unit: normalised ("cm", "dollar"), or "" if there was none.
        variable: the name on the left of ``x = 5``, or "".
    """

    value: Fraction
    is_percent: bool = False
    unit: str = ""
    variable: str = ""


def parse_number(text: str) -> Number | None:
    """The number that the whole text says, or None if it is not plainly one number."""
    return _parse(text) if len(text) <= MAX_CHARACTERS else None


def same_number(first: Number, second: Number) -> bool:
    """Equal values whose units, percent signs and variables do not contradict each other.

    A unit or a percent sign on one side only is taken to be implied on the other; p% also equals
    p/100 without a sign.
    """
    if first.variable and second.variable and first.variable != second.variable:
        return False
    if first.unit and second.unit and first.unit != second.unit:
        return False
    if first.is_percent == second.is_percent:
        return first.value == second.value
    percent, plain = (first, second) if first.is_percent else (second, first)
    return not plain.unit and plain.value in (percent.value, percent.value / 100)


PLAIN_CHARACTERS = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms
    | dict.fromkeys("\u2212\u2012\u2013\ufe63", "-")
    | dict.fromkeys("\u00a0\u2002\u2003\u2009\u200a\u202f\u3000", " ")
    | {"\u00d7": "*", "\u22c5": "*", "\u00b7": "*", "\u2044": "/", "\u2215": "/", "\u066a": "%"}
)
"""Full-width forms, dashes, spaces and signs in ASCII."""
_LATEX = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\!\s*", ""),
        (r"\\[,;: ]|\\q?quad(?![A-Za-z])|(?<=\S)~", " "),
        (r"\{,\}", ","),
        (r"\\([%$])", r"\1"),
        (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|°|\\degree(?![A-Za-z])", " degrees"),
        (r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r" \1 "),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:times|cdot)(?![A-Za-z])", "*"),
    )
]
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("{", "}"))

_INTEGER = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]{0,2}(?:[ ][0-9]{3})+|[0-9]+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]+)?|\.[0-9]+)"
_SIGNED = rf"[-+]?\s*{_DECIMAL}"
_LATEX_FRACTION = (
    rf"\\frac\s*(?:\{{\s*(?P<top>{_SIGNED})\s*\}}|\s*(?P<top1>[0-9]))"
    rf"\s*(?:\{{\s*(?P<bottom>{_SIGNED})\s*\}}|(?P<bottom1>[0-9]))"
)
_NUMBER = re.compile(
    rf"""
    (?:(?P<variable>[A-Za-z])\s*=\s*)?
    (?P<sign>[-+]?)\s*
    (?P<currency>[$€£¥₹]?)\s*
    (?P<sign_inside>[-+]?)\s*
    (?:
        (?P<whole>[0-9]+)\s+(?P<over>[0-9]+)\s*/\s*(?P<under>[0-9]+)
      | (?:(?P<latex_whole>[0-9]+)\s*)?{_LATEX_FRACTION}
      | (?P<dividend>{_DECIMAL})\s*/\s*(?P<divisor>{_DECIMAL})
      | (?P<mantissa>{_DECIMAL})
        (?:\s*\*\s*10\s*\^\s*(?P<power>[-+]?[0-9]{{1,3}}|\{{\s*[-+]?[0-9]{{1,3}}\s*\}})
         | [eE](?P<exponent>[-+]?[0-9]{{1,3}}))?
    )
    \s*(?P<percent>%|(?i:percent|per\ cent)(?![A-Za-z]))?
    (?P<unit>.*)
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=16_384)
def _parse(text: str) -> Number | None:
    plain = _plain(text)
    match = _NUMBER.fullmatch(plain)
    if match is None or (match["sign"] and match["sign_inside"]):
        return None
    value = _value(match)
    is_attached = not plain[: match.start("unit")][-1:].isspace()
    unit = normal_unit(match["unit"], is_attached)
    if value is None or unit is None or (match["percent"] and (unit or match["currency"])):
        return None
    if match["currency"]:
        money = normal_unit(match["currency"], is_attached=True) or ""
        if unit not in ("", money):
            return None
        unit = money
    is_negative = "-" in (match["sign"], match["sign_inside"])
    return Number(
        -value if is_negative else value, bool(match["percent"]), unit, match["variable"] or ""
    )


def _plain(text: str) -> str:
    """Full-width forms, LaTeX spacing, text commands and wrappers taken away."""
    plain = text.translate(PLAIN_CHARACTERS).strip()
    for pattern, replacement in _LATEX:
        plain = pattern.sub(replacement, plain)
    plain = plain.strip()
    changed = True
    while changed:
        changed = False
        if plain.endswith((".", "。")) and not plain.endswith(".."):
            plain, changed = plain[:-1].rstrip(), True
        for left, right in _WRAPPERS:
            if len(plain) > len(left + right) and plain.startswith(left) and plain.endswith(right):
                plain, changed = plain[len(left) : -len(right)].strip(), True
                break
    return plain


def _value(match: re.Match[str]) -> Fraction | None:
    part = match.groupdict()
    if part["whole"]:
        return _mixed(part["whole"], part["over"], part["under"])
    if bottom := part["bottom"] or part["bottom1"]:
        top = part["top"] or part["top1"]
        if part["latex_whole"]:
            return _mixed(part["latex_whole"], top, bottom)
        return _divide(top, bottom)
    if part["dividend"]:
        return _divide(part["dividend"], part["divisor"])
    power = int((part["power"] or part["exponent"] or "0").strip("{ }"))
    return _decimal(part["mantissa"]) * Fraction(10) ** power


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", ""))


def _divide(top: str, bottom: str) -> Fraction | None:
    divisor = _decimal(bottom)
    return _decimal(top) / divisor if divisor else None


def _mixed(whole: str, top: str, bottom: str) -> Fraction | None:
    """``3 1/2``: the fraction must be a proper one of plain digits."""
    if not (top.isdecimal() and bottom.isdecimal() and 0 < int(top) < int(bottom)):
        return None
    return int(whole) + Fraction(int(top), int(bottom))
