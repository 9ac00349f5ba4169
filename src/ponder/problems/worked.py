"""Worked solutions: text with its calculations marked, ``48/2 = <<48/2=24>>24``, as GSM8K has them.

The marks (calculator annotations, arXiv 2110.14168) say what every number of a step is made of.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_MARK = re.compile(r"<<([^<>]*)>>")
_EQUATION = re.compile(
    rf"(?<![\w.,<=])([$(\d.][\d\s.,+\-*/x×()$]*)=\s*\$?({NUMBER.pattern})(?![\d%]|\s*[*/+x-]\s*[\d(])"
)
_SUM = re.compile(r"[0-9+\-*/(). ]{1,200}")
_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Step:
    """``text`` as it stands before a mark, and the mark's ``<<expression=result>>``."""

    text: str
    expression: str
    result: str


@dataclass(frozen=True, slots=True)
class Worked:
    """A solution in steps, and the text after the last mark."""

    steps: tuple[Step, ...]
    rest: str


def read_worked(solution: str) -> Worked | None:
    """A marked solution taken apart; None if a mark is no calculation or its result is wrong."""
    steps: list[Step] = []
    end = 0
    for match in _MARK.finditer(solution):
        expression, equals, result = match[1].rpartition("=")
        if not equals or evaluate(expression) is None or evaluate(expression) != evaluate(result):
            return None
        steps.append(Step(solution[end : match.start()], expression, result))
        end = match.end()
    return Worked(tuple(steps), solution[end:])


def with_marks(solution: str) -> str:
    """The solution with a mark at every equation of plain numbers that holds and has none."""

    def marked(match: re.Match[str]) -> str:
        expression = re.sub(r"[x×]", "*", match[1].replace("$", "")).strip()
        if not re.search(r"\d\s*[+*/-]", expression) or evaluate(expression) != value_of(match[2]):
            return match[0]
        return f"{match[0][: -len(match[2])]}<<{expression}={match[2]}>>{match[2]}"

    parts = re.split(r"(<<[^<>]*>>)", solution)
    return "".join(p if p.startswith("<<") else _EQUATION.sub(marked, p) for p in parts)


def without_marks(solution: str) -> str:
    """The solution as a person writes it: equations stay, marks and doubled blanks go."""
    lines = _MARK.sub("", solution).strip().splitlines()
    return "\n".join(line for text in lines if (line := _BLANKS.sub(" ", text).strip()))


def value_of(number: str) -> Fraction:
    """What a text that ``NUMBER`` matches is worth."""
    return Fraction(number.replace(",", ""))


def evaluate(expression: str) -> Fraction | None:
    """The exact value of a sum of plain numbers; None if it is none. Never raises."""
    text = expression.replace(",", "").strip()
    if not _SUM.fullmatch(text) or "**" in text or "//" in text:
        return None
    try:
        return _value(ast.parse(_without_zeros(text), mode="eval").body, text)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None


def numbers_in(text: str) -> Iterator[re.Match[str]]:
    """The numbers written in digits, in order."""
    return NUMBER.finditer(text)


def _without_zeros(text: str) -> str:
    """Python reads no 007."""
    return re.sub(r"(?<![\d.])0+(?=\d)", "", text)


def _value(node: ast.expr, text: str) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Fraction(repr(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, text)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, text)
        case ast.BinOp(left=left, op=op, right=right):
            first, second = _value(left, text), _value(right, text)
            match op:
                case ast.Add():
                    return first + second
                case ast.Sub():
                    return first - second
                case ast.Mult():
                    return first * second
                case ast.Div():
                    return first / second
    raise ValueError(text)
