r"""Scalar expressions in LaTeX, read into exact quotients by recursive descent.

What it reads: sums, products (also implied), quotients, whole and rational powers, roots of
rational numbers, factorials, binomials, mixed numbers, repeating decimals, letters, Greek letters,
``\pi`` and ``i``. Anything else raises ``TooHardError``; a text without a value ``NoValueError``.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import comb, factorial

from ponder.verify.math.algebra import (
    Ratio,
    TooHardError,
    Work,
    add,
    atom,
    divide,
    integer_root,
    multiply,
    number,
    power,
    square_root,
)

MAX_DEPTH = 20
MAX_FACTORIAL = 1000
MAX_ROOT_DEGREE = 20
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+|\.(?=\\(?:overline|bar|dot)\b))?|\.[0-9]+)|(?P<command>\\[A-Za-z]+)|(?P<other>\\.|\S))",
    re.DOTALL,
)
_SUBSCRIPT = re.compile(r"_\s*(?:\{\s*([A-Za-z0-9]{1,8})\s*\}|([A-Za-z0-9]))")
_GREEK_NAMES = """alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa
lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma
Phi Psi Omega ell"""
GREEK = frozenset(rf"\{name}" for name in _GREEK_NAMES.split())
_PAIRS = {"(": ")", "[": "]", "{": "}", r"\{": r"\}"}
_ROOTS = {r"\sqrt", r"\frac", r"\binom", r"\overline", r"\bar", r"\dot"}


def read_expression(text: str) -> Ratio:
    """The exact value; the text is in the spelling of ``normal_text`` and not too long."""
    reader = _Reader(text)
    value = reader.sum(0)
    if reader.position != len(reader.tokens):
        raise TooHardError(f"what is {reader.tokens[reader.position]!r}?")
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            assert match is not None
            token, position = match[0].strip(), match.end()
            if (token.isalpha() or token in GREEK) and (sub := _SUBSCRIPT.match(text, position)):
                token, position = f"{token}_{sub[1] or sub[2]}", sub.end()
            self.tokens.append(token)
        self.position = 0
        self.work = Work()

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def expect(self, token: str) -> None:
        if self.next() != token:
            raise TooHardError(f"no {token!r} where it is needed")

    def sum(self, depth: int) -> Ratio:
        value = self.term(depth)
        while self.peek() in ("+", "-"):
            sign = 1 if self.next() == "+" else -1
            value = add(value, self.term(depth), self.work, sign)
        return value

    def term(self, depth: int) -> Ratio:
        negative = self.peek() == "-"
        if self.peek() in ("+", "-"):
            self.next()
        value = self.factor(depth)
        was_number = self.is_number(self.position - 1)
        while self.starts_factor():
            operator = self.next() if self.peek() in ("*", "/") else ""
            if not operator and was_number and self.is_number(self.position):
                raise TooHardError("two numbers side by side")
            sign = self.next() if operator and self.peek() in ("+", "-") else ""
            factor = self.factor(depth)
            was_number = self.is_number(self.position - 1)
            if sign == "-":
                negative = not negative
            combine = divide if operator == "/" else multiply
            value = combine(value, factor, self.work)
        return multiply(number(-1), value, self.work) if negative else value

    def is_number(self, position: int) -> bool:
        return position < len(self.tokens) and _is_literal(self.tokens[position])

    def starts_factor(self) -> bool:
        token = self.peek()
        return bool(token) and (
            token in ("*", "/", "(", "[", "{", r"\pi")
            or token in _ROOTS
            or token[0].isalnum()
            or _is_literal(token)
            or token.split("_")[0] in GREEK
        )

    def factor(self, depth: int) -> Ratio:
        """A value with its powers and factorials."""
        value = self.value(depth)
        while self.peek() in ("^", "!"):
            if self.next() == "!":
                if self.peek() == "!":
                    raise TooHardError("a double factorial")
                value = number(factorial(self.small(value, MAX_FACTORIAL)))
            else:
                value = self.raised(value, self.argument(depth))
                if self.peek() in ("^", "!"):
                    raise TooHardError("a tower of powers")
        return value

    def raised(self, base: Ratio, exponent: Ratio) -> Ratio:
        by = exponent.rational()
        if by is None:
            raise TooHardError("a symbolic exponent")
        if by.denominator == 1:
            return power(base, int(by), self.work)
        if abs(by.numerator) > MAX_ROOT_DEGREE:
            raise TooHardError("a large exponent")
        return power(self.root(base, by.denominator), by.numerator, self.work)

    def root(self, radicand: Ratio, degree: int) -> Ratio:
        value = radicand.rational()
        if value is None or not 2 <= degree <= MAX_ROOT_DEGREE:
            raise TooHardError("a root of an expression")
        if degree == 2:
            return square_root(value)
        if value < 0 or (root := integer_root(value, degree)) is None:
            raise TooHardError("no rational root")
        return number(root)

    def value(self, depth: int) -> Ratio:
        token = self.next()
        if depth > MAX_DEPTH:
            raise TooHardError("nested too deeply")
        if not token:
            raise TooHardError("nothing where a value is needed")
        if _is_literal(token):
            return self.literal(token, depth)
        if token in ("(", "[", "{"):
            value = self.sum(depth + 1)
            self.expect(_PAIRS[token])
            return value
        if token in _ROOTS:
            return self.command(token, depth)
        name = token.split("_")[0]
        if token == r"\pi" or name in GREEK or (len(name) == 1 and name.isalpha()):
            if not token.isascii():
                raise TooHardError("a letter of another script")
            return atom(token.removeprefix("\\"))
        raise TooHardError(f"what is {token!r}?")

    def literal(self, token: str, depth: int) -> Ratio:
        """A number, and what may be attached to it: repeating digits, or a proper fraction."""
        if self.peek() in (r"\overline", r"\bar", r"\dot"):
            return number(self.repeating(token))
        value = number(Fraction(token))
        if token.isdecimal() and self.is_plain_fraction():
            self.next()
            part = self.quotient(depth)
            plain = part.rational()
            mixed = plain is not None and 0 < plain < 1
            return add(value, part, self.work) if mixed else multiply(value, part, self.work)
        return value

    def is_plain_fraction(self) -> bool:
        r"""Whether ``\frac12`` or ``\frac{1}{2}`` with plain digits comes next."""
        if self.peek() != r"\frac":
            return False
        following = self.tokens[self.position + 1 : self.position + 7]
        shape = "".join("d" if token.isdecimal() else token for token in following)
        return shape == "{d}{d}" or (shape[:1] == "d" and len(following[0]) == 2)

    def repeating(self, token: str) -> Fraction:
        self.next()
        self.expect("{")
        digits = self.next()
        self.expect("}")
        whole, point, fixed = token.partition(".")
        if not digits.isdecimal() or not point or self.is_number(self.position):
            raise TooHardError("not repeating digits")
        repeated = Fraction(int(digits), (10 ** len(digits) - 1) * 10 ** len(fixed))
        return Fraction(f"{whole or 0}.{fixed or 0}") + repeated

    def command(self, token: str, depth: int) -> Ratio:
        if token == r"\frac":
            return self.quotient(depth)
        if token == r"\sqrt":
            degree = 2
            if self.peek() == "[":
                self.next()
                degree = self.small(self.sum(depth + 1), MAX_ROOT_DEGREE)
                self.expect("]")
            return self.root(self.argument(depth, one_digit=True), degree)
        if token == r"\binom":
            above, below = self.argument(depth), self.argument(depth)
            return number(comb(self.small(above, MAX_FACTORIAL), self.small(below, MAX_FACTORIAL)))
        raise TooHardError(f"what is {token!r}?")

    def quotient(self, depth: int) -> Ratio:
        token = self.peek()
        if token.isdecimal() and token.isascii():  # \frac12 is 1/2
            self.split_digit(token)
        top = self.argument(depth)
        return divide(top, self.argument(depth, one_digit=True), self.work)

    def split_digit(self, token: str) -> None:
        if len(token) != 2:
            if len(token) > 2:
                raise TooHardError("which digits belong to the fraction?")
            return
        self.tokens[self.position : self.position + 1] = [token[0], token[1]]

    def argument(self, depth: int, one_digit: bool = False) -> Ratio:
        """What a command or ``^`` takes: a braced expression, or the one thing that follows."""
        token = self.peek()
        if token == "{":
            self.next()
            value = self.sum(depth + 1)
            self.expect("}")
            return value
        if token == "-":
            self.next()
            return multiply(number(-1), self.value(depth + 1), self.work)
        if self.is_number(self.position):
            if one_digit and len(token) > 1:
                raise TooHardError("which digits belong to the command?")
            return number(Fraction(self.next()))
        return self.value(depth + 1)

    def small(self, value: Ratio, limit: int) -> int:
        """A whole number from 0 to the limit."""
        plain = value.rational()
        if plain is None or plain.denominator != 1 or not 0 <= plain <= limit:
            raise TooHardError("not a small whole number")
        return int(plain)


def _is_literal(token: str) -> bool:
    return token[0] in "0123456789" or (token[0] == "." and len(token) > 1)


def value_or_none(text: str) -> Ratio | None:
    """As ``read_expression``, None where it can't tell."""
    try:
        return read_expression(text)
    except TooHardError:
        return None
