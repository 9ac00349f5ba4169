r"""Where an answer falls into parts: separators outside all brackets. One pass, no backtracking."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\(?:begin|end)\s*\{[A-Za-z]{1,20}\*?\}|\\[A-Za-z]+|\\.|.", re.DOTALL)
_OPEN = {"(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil"}
_CLOSE = {")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil"}
_PARTNERS = {"(": ")]", "[": ")]", r"\{": r"\}", r"\langle": r"\rangle"}


def split(text: str, separators: frozenset[str]) -> tuple[list[str], list[str]]:
    """The parts, stripped, and the separators between them; one part if brackets do not match."""
    parts: list[str] = []
    found: list[str] = []
    depth, start = 0, 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        depth += _turn(token)
        if depth < 0:
            return [text], []
        if depth == 0 and token in separators:
            parts.append(text[start : match.start()].strip())
            found.append(token)
            start = match.end()
    if depth or not found:
        return [text], []
    return [*parts, text[start:].strip()], found


def _turn(token: str) -> int:
    if token in _OPEN or token.startswith(r"\begin"):
        return 1
    return -1 if token in _CLOSE or token.startswith(r"\end") else 0


def bracketed(text: str) -> tuple[str, str, str] | None:
    """Bracket, inside, bracket, if one pair is around everything; ``(`` may close with ``]``."""
    depth, left = 0, ""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if not left:
            if token not in _PARTNERS:
                return None
            left = token
        depth += _turn(token)
        if depth == 0:
            is_last = match.end() == len(text)
            if not is_last or (token not in _PARTNERS[left]):
                return None
            return left, text[len(left) : match.start()].strip(), token
    return None
