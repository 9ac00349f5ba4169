"""What may stand on the left of ``=``, ``<`` or ``\\in``: variables, and labels of quantities."""

from __future__ import annotations

import re

from ponder.verify.math.expression import GREEK

_VARIABLE = re.compile(r"([A-Za-z]|\\[A-Za-z]{2,10})(?:_(?:[A-Za-z0-9]|\{[A-Za-z0-9]{1,8}\}))?'?")
_LABEL = re.compile(
    r"[A-Z]{2,6}|[A-Za-z]{3,15}|[A-Za-z](?:_\{?[A-Za-z0-9]{1,8}\}?)?'{0,2}\([A-Za-z0-9, ]{1,12}\)"
    r"|\([A-Za-z](?:\s*,\s*[A-Za-z])+\)|\\angle\s*[A-Z]{1,3}|\|[A-Z]{2}\||\\overline\s*\{[A-Z]{2}\}"
    r"|\\(?:text|mathrm|textbf|mbox)\s*\{[^{}\\]{1,40}\}|[\u4e00-\u9fff]{1,8}"
)


def is_name(text: str) -> bool:
    r"""A variable, or a label such as ``AB``, ``f(x)``, ``(x, y)`` or a word."""
    return is_variable(text) or bool(_LABEL.fullmatch(text))


def is_variable(text: str) -> bool:
    match = _VARIABLE.fullmatch(text)
    return match is not None and (not text.startswith("\\") or match[1] in GREEK)


def name_key(text: str) -> str:
    return re.sub(r"\\(?:text|mathrm|textbf|mbox)(?![A-Za-z])|[\s{}]", "", text)
