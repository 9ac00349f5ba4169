"""The words that may follow a number without changing it."""

from __future__ import annotations

import re

_SHORT = {
    "m", "g", "s", "h", "l", "L", "km", "cm", "mm", "kg", "mg", "ml", "mL", "ft", "in", "yd", "mi",
    "lb", "oz", "hr", "kW", "Hz", "sq",
}  # fmt: skip
"""Words of one or two letters that are units; any other ("x", "or", "k", "pi") is not."""

_ATTACHED = _SHORT | {
    "min", "sec", "hrs", "lbs", "mph", "kmh", "kph", "km/h", "m/s", "rpm", "GHz", "MHz", "degrees",
}  # fmt: skip
"""What may stand right after the last digit, without a space."""

_MORE_THAN_A_UNIT = """
    and not maybe perhaps possibly probably about approximately approx roughly around nearly almost
    over under more less fewer greater least most than plus minus times divided multiplied squared
    cubed factorial mod modulo base sqrt sin cos tan log exp infinity infty inf nan
    half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths seventh
    sevenths eighth eighths ninth ninths tenth tenths hundredth hundredths thousandth thousandths
    ten tens hundred hundreds thousand thousands million millions billion billions trillion
    trillions dozen dozens score scores gross lakh crore percent
    but unless except either neither unknown wrong incorrect false point
    one two three four five six seven eight nine twenty thirty forty fifty sixty seventy eighty
    ninety negative grand mil mill mln bln thou couple
    double doubled twice triple tripled thrice quadrupled half halved negated reversed inverted
    opposite reciprocal inverse rounded estimated never none no nor instead excluding without
    zero eleven twelve twelfth twelfths eleventh elevenths wan googol googols myriad myriads
    permille nth factorials fold wait guess unsure rejected cancelled bad
"""
_CHANGES_THE_NUMBER = frozenset(_MORE_THAN_A_UNIT.split())
_NUMBER_WORD = re.compile(
    r"(?:tr|quadr|quint|sext|sept|oct|non|dec|g?z)illi(?:on|ard)s?|[mb]illiards?"
    r"|(?:thir|four|fif|six|seven|eigh|nine)(?:teen(?:ths?)?|tieths?)|(?:twen|for)tieths?"
    r"|(?:two|three|four|five|six|seven|eight|nine|ten|hundred|thousand)fold",
    re.IGNORECASE,
)
"""Quadrillions, thirteen, thirteenths, twentieths, tenfold."""

_ALIASES = {
    "$": "dollar", "usd": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee",
    "kilometer": "km", "kilometre": "km", "centimeter": "cm", "centimetre": "cm",
    "millimeter": "mm", "millimetre": "mm", "meter": "m", "metre": "m",
    "kilogram": "kg", "gram": "g", "liter": "l", "litre": "l",
    "foot": "ft", "feet": "ft", "inche": "in", "inch": "in", "yard": "yd", "mile": "mi",
    "hour": "h", "hr": "h", "minute": "min", "second": "s", "sec": "s", "ounce": "oz",
    "km/hour": "km/h",
}  # fmt: skip
_CHINESE = {
    "元": "yuan", "块": "yuan", "块钱": "yuan", "角": "jiao", "分钱": "fen", "美元": "dollar",
    "米": "m", "厘米": "cm", "毫米": "mm", "分米": "dm", "千米": "km", "公里": "km",
    "克": "g", "千克": "kg", "公斤": "kg", "吨": "ton", "升": "l", "毫升": "ml",
    "小时": "h", "分钟": "min", "秒": "s", "秒钟": "s", "天": "day", "日": "day", "年": "year",
    "度": "degree", "平方米": "m^2", "平方厘米": "cm^2", "平方分米": "dm^2", "平方千米": "km^2",
    "立方米": "m^3", "立方厘米": "cm^3", "千米/时": "km/h", "千米/小时": "km/h", "米/秒": "m/s",
    "岁": "岁", "平方单位": "square unit",
} | dict.fromkeys("个只本人名位条件张支枝把辆台次种页朵棵颗头匹双对套盒箱袋瓶", "")  # fmt: skip
"""Units of length, time, money and so on; what is only counted (个, 只, 本) is no unit at all."""
_UNIT = re.compile(
    r"[A-Za-z]+(?:(?:\.?\s+|\s*[/-]\s*)[A-Za-z]+){0,4}\.?(?:\s?(?:\^\s*(?:\{\s*)?[23](?:\s*\})?|[²³]))?"
)
_WORD = re.compile(r"[A-Za-z]+")


def normal_unit(text: str, is_attached: bool) -> str | None:
    """One spelling of a unit, "" for none, or None if the text is not plainly a unit.

    Args:
        text: what stands after a number.
        is_attached: no space stands between them, so only a known abbreviation will do.
    """
    unit = text.strip()
    if not unit or unit in _ALIASES:
        return _ALIASES.get(unit, "")
    if unit in _CHINESE:
        return _CHINESE[unit]
    if not _UNIT.fullmatch(unit) or (is_attached and unit not in _ATTACHED):
        return None
    words = _WORD.findall(unit)
    if any(word.lower() in _CHANGES_THE_NUMBER or _NUMBER_WORD.fullmatch(word) for word in words):
        return None
    if any(len(word) <= 2 and word not in _SHORT for word in words):
        return None
    power = re.search(r"([23²³])\s*\}?$", unit)
    spelt = re.sub(r"\s*(?:\^\s*\{?\s*[23]\s*\}?|[²³])$", "", unit)
    return "/".join(_singular(part) for part in re.split(r"\s*/\s*|\s+per\s+", spelt)) + (
        {"2": "^2", "²": "^2", "3": "^3", "³": "^3"}[power[1]] if power else ""
    )


def _singular(words: str) -> str:
    lower = " ".join(words.split()).rstrip(".").lower()
    lower = re.sub(r"^sq\.? ", "square ", lower)
    for power, word in (("^2", "square "), ("^3", "cubic ")):
        plain = _singular(lower.removeprefix(word)) if lower.startswith(word) else ""
        if plain in _SHORT:
            return plain + power
    singular = lower[:-1] if lower.endswith("s") and len(lower) > 2 else lower
    return _ALIASES.get(singular, singular)
