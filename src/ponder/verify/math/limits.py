r"""What may be handed to sympy: short formulas of known symbols, without anything explosive.

A white list: what is not on it is refused, so that no text is read by sympy in a way that we did
not foresee (units dropped, equations taken apart, words skipped).
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 400
MAX_DEPTH = 12
MAX_OPERATORS = 60
MAX_BARS = 8
MAX_FUNCTIONS = 6

_FUNCTIONS = """sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp sqrt frac
binom pi theta alpha beta gamma delta epsilon lambda mu phi varphi omega sigma rho tau eta psi zeta
xi nu kappa chi cdot lfloor rfloor lceil rceil circ lvert rvert vert"""
_KNOWN = frozenset(rf"\{name}" for name in _FUNCTIONS.split())
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)", re.DOTALL)
_OTHER = re.compile(r"[0-9A-Za-z+\-*/^_!.|(){}\[\], ]*")
_RULES = [
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"[0-9]{20}", "a long number"),  # long enough for a formula to be rounded to it
        (r"(?<![0-9])\.(?![0-9])|\.[0-9]*\.", "a stray full stop"),
        (r"(?<!\\sqrt)\s*\[", "square brackets"),
        (r"\\frac\s*[0-9]{3}", "a fraction of three digits and no braces"),
        (r"\^\s*(?:\{[^{}]{0,80})?\s*-?\s*[0-9]{4}", "a large exponent"),
        (r"\^\s*(?:\\[A-Za-z]+|[A-Za-z0-9])\s*\^", "a tower of powers"),
        (r"\^\s*[(\[]", "a power in brackets"),
        (r"(?<![_0-9.])[0-9.]+\s+[0-9.]", "two numbers side by side"),
        (r"!\s*[!^)}\]]|[0-9]{4}\s*!|\)\s*!|\}\s*!", "a large factorial"),
        (r"\^\s*(?:\{[^{}]*\}|[A-Za-z0-9]+)\s*!", "a large factorial"),
        (
            r"\\binom(?!\s*\{[A-Za-z0-9+\- ]{1,12}\}\s*\{[A-Za-z0-9+\- ]{1,12}\})",
            "a large binomial",
        ),
        (r"(?:\\(?:exp|sinh|cosh)(?![A-Za-z]).*){3}", "too many exponentials"),
        (r"\^\s*\{[^{}]*\\(?:exp|sinh|cosh)", "a tower of powers"),
        (r"\\binom\s*(?:\{[^{}]*\}\s*)?\{[^{}]*[0-9]{4}", "a large binomial"),
        (r"\^\s*\{[^{}]*\}\s*\^", "a tower of powers"),
        (r"[\])}]\s*\^\s*\{?\s*[0-9]{2}", "a large power of an expression"),
        (r"(?<![A-Za-z\\])(?:[A-Za-z]{4,})", "words"),
        (r",", "a list"),
    )
]
_DEGREES = re.compile(r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})")
_FUNCTION = re.compile(r"\\(?:arc)?(?:sin|cos|tan)h?|\\(?:cot|sec|csc|ln|log|exp)")
_LONG_NUMBER = re.compile(r"[0-9]{5}")
_PART = re.compile(r"\\[lr](?:floor|ceil)")
_SMALL_FACTORIAL = re.compile(r"\(\s*[A-Za-z0-9]\s*(?:[-+]\s*[A-Za-z0-9]\s*)?\)\s*!")
_POWER = re.compile(r"\^\s*\{|\^|[{}!]")
_SMALL_POWER = re.compile(r"[A-Za-z]\^(?:[1-4](?![0-9])|\{\s*[1-4]\s*\})")


def refusal(text: str) -> str:
    """Why the text is kept from sympy, or "" if it may go; takes normal text."""
    if not text.strip():
        return "nothing in it"
    if len(text) > MAX_CHARACTERS:
        return "too long"
    text = _DEGREES.sub("", text)
    if reason := foreign(text):
        return reason
    bare = _COMMAND.sub(" ", text)
    if _depth(bare) > MAX_DEPTH:
        return "nested too deeply"
    if sum(bare.count(operator) for operator in "+-*/^!_") > MAX_OPERATORS:
        return "too many operators"
    if bare.count("|") > MAX_BARS:
        return "too many bars"
    if _has_tower(text):
        return "a tower of powers"
    functions = _FUNCTION.findall(text)
    if len(functions) > MAX_FUNCTIONS or (functions and _LONG_NUMBER.search(text)):
        return "too many functions, or of large numbers"
    if functions and _PART.search(text):
        return "a function and a whole part"
    text = _SMALL_FACTORIAL.sub("n!", text)
    return next((reason for pattern, reason in _RULES if pattern.search(text)), "")


def foreign(text: str) -> str:
    """Which command or character of the text is not on the white list, or "" if all are."""
    for command in _COMMAND.findall(text):
        if command not in _KNOWN:
            return f"{command[:20]} is not compared"
    return "" if _OTHER.fullmatch(_COMMAND.sub(" ", text)) else "not a formula"


def _has_tower(text: str) -> bool:
    """A power or factorial within an exponent, but for a letter's small one: ``e^{x^2}``."""
    inside: list[bool] = [False]
    for match in _POWER.finditer(text):
        token = match[0]
        if token.startswith("^"):
            if inside[-1] and not _SMALL_POWER.match(text, match.start() - 1):
                return True
            inside.extend([True] if token.endswith("{") else [])
        elif token == "{":
            inside.append(inside[-1])
        elif token == "}":
            inside = inside[:-1] or [False]
        elif inside[-1]:
            return True
    return False


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "({[") - (character in ")}]")
        deepest = max(deepest, depth)
    return deepest
