"""Arithmetic expressions evaluated exactly by our own parser, never by Python's ``eval``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_CHARACTERS = 200
MAX_DEPTH = 20
_TOKEN = re.compile(r"\s*([0-9]{1,12}|[-+*/()])")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The exact value of an expression, and the integers in it from left to right."""

    value: Fraction
    integers: tuple[int, ...]


def evaluate(text: str) -> Evaluated | None:
    """An expression of integers, ``+ - * /`` and parentheses; None if the text is no such thing.

    No powers, no floor division, no implied multiplication; a division by zero is None too.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    tokens: list[str] = []
    end, position = len(text.rstrip()), 0
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        tokens.append(match[1])
        position = match.end()
    parser = _Parser(tokens)
    try:
        value = parser.sum(0)
    except (_NotArithmeticError, ZeroDivisionError):
        return None
    if parser.position != len(tokens):
        return None
    return Evaluated(value, tuple(int(token) for token in tokens if token.isdecimal()))


class _NotArithmeticError(Exception):
    pass


class _Parser:
    """Recursive descent: a sum of products of signed integers and parenthesised sums."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0

    def sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while (sign := self._take("+-")) is not None:
            term = self._product(depth)
            value = value + term if sign == "+" else value - term
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._factor(depth)
        while (sign := self._take("*/")) is not None:
            factor = self._factor(depth)
            value = value * factor if sign == "*" else value / factor
        return value

    def _factor(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH or self.position == len(self.tokens):
            raise _NotArithmeticError
        token = self.tokens[self.position]
        self.position += 1
        if token.isdecimal():
            return Fraction(token)
        if token == "-":
            return -self._factor(depth + 1)
        if token != "(":
            raise _NotArithmeticError
        value = self.sum(depth + 1)
        if self._take(")") is None:
            raise _NotArithmeticError
        return value

    def _take(self, choices: str) -> str | None:
        if self.position < len(self.tokens) and self.tokens[self.position] in choices:
            self.position += 1
            return self.tokens[self.position - 1]
        return None
