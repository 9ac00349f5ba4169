"""Knights and Knaves: who is which, each inhabitant named exactly once (2410.23123, 2502.14768)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from operator import and_, or_
from typing import Any

from ponder.types import Judgement, Problem, Verdict
from ponder.verify.extract import extract_answer

MAX_ANSWER_CHARACTERS = 4_000
MAX_NAMES = 12
Roles = dict[str, bool]
"""By name, folded: whether that inhabitant is a knight."""


def verify_knights_knaves(problem: Problem, completion_text: str) -> Judgement:
    """Judges by the reference "(1) Zoey is a knight (2) Oliver is a knave".

    ``metadata["names"]`` are the inhabitants (without them, those of the reference), and
    ``metadata["statements"]`` what each of them says: nested lists in JSON text such as
    ``[["not", ["lying", 1]], ["telling-truth", 0]]``. A reference that the statements do not force
    is an error.
    """
    names = _names(problem)
    gold = read_roles(problem.answer, names)
    if not isinstance(gold, dict):
        return Judgement(Verdict.ERROR, None, f"the reference answer: {gold}")
    statements = problem.metadata.get("statements")
    if statements is not None and (fault := _structure_fault(statements, tuple(gold.values()))):
        return Judgement(Verdict.ERROR, None, fault)
    extracted = extract_answer(completion_text)
    if extracted.answer is None:
        return Judgement(Verdict.UNPARSABLE, None, extracted.reason)
    roles = read_roles(extracted.answer, names)
    if not isinstance(roles, dict):
        return Judgement(Verdict.INCORRECT, extracted.answer, roles)
    if roles == gold:
        return Judgement(Verdict.CORRECT, extracted.answer)
    wrong = sum(roles[name] != gold[name] for name in gold)
    return Judgement(Verdict.INCORRECT, extracted.answer, f"{wrong} of {len(gold)} are wrong")


def _names(problem: Problem) -> list[str]:
    given = problem.metadata.get("names")
    return list(given) if given else re.findall(r"(\w[\w' ]*?)\s+is\s+an?\s+kn", problem.answer)


_WORDS = r"""
    (?P<break>[\n;.]+)
  | (?P<comma>,|&|\band\b)
  | (?P<role>\b(?:knight|knave)s?\b)
  | (?P<is>\b(?:is|are|was|were)\b|->|→|[:=-]|[\u2013\u2014])
  | (?P<filler>\b(?:an?|the|all|both|so|thus|hence|therefore)\b)
  | (?P<none>\b(?:none|nobody|no one)\b)
  | (?P<space>[\s*_`"'$|\\]+)
"""
_NUMBERING = re.compile(r"\(\d{1,2}\)|(?<![\w(])\d{1,2}[.)](?=\s)|^[ \t]*[-*•](?=\s)", re.MULTILINE)
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}|\\\\")
_PARENTHESES = re.compile(r"\(\s*(?:an?\s+)?(knight|knave)\s*\)", re.IGNORECASE)


def read_roles(text: str, names: Sequence[str]) -> Roles | str:
    """Who is which according to the text, in the order of ``names``; or why that is not plain.

    Read are "Zoey is a knight", "Zoey: knight", "Zoey (knight)", "Zoey and Max are knights",
    "Knights: Zoey, Max", numbered or not, in any order. Nobody may be left out or named twice, and
    nothing else may be said.
    """
    if not 0 < len(names) <= MAX_NAMES or len({name.casefold() for name in names}) < len(names):
        return "the names of the puzzle are no usable list"
    if len(text) > MAX_ANSWER_CHARACTERS:
        return "answer too long"
    tokens = _tokens(text, names)
    if tokens is None:
        return "not just an assignment of roles"
    found: Roles = {}
    for clause in _clauses(tokens):
        assigned = _read_clause(clause)
        if assigned is None:
            return "not just an assignment of roles"
        for name in assigned:
            if name in found:
                return f"{name} is named twice"
        found |= assigned
    if missing := [name for name in names if name.casefold() not in found]:
        return f"{missing[0]} is not named"
    return {name.casefold(): found[name.casefold()] for name in names}


Token = tuple[str, str]
"""Its kind and its text, folded."""


def _tokens(text: str, names: Sequence[str]) -> list[Token] | None:
    """What the text is made of, without numbering and fillers; None if there is anything else."""
    plain = _TEXT_COMMAND.sub(lambda match: match[1] or "\n", text)
    plain = _PARENTHESES.sub(r": \1 ", _NUMBERING.sub("\n", plain))
    tokens: list[Token] = []
    position, word = 0, _word(tuple(sorted(names, key=len, reverse=True)))
    while position < len(plain):
        match = word.match(plain, position)
        if match is None or match.lastgroup is None:
            return None
        if match.lastgroup not in ("space", "filler"):
            tokens.append((match.lastgroup, match[0].casefold()))
        elif "\n" in match[0]:
            tokens.append(("break", "\n"))
        position = match.end()
    return tokens


@lru_cache(maxsize=1024)
def _word(names: tuple[str, ...]) -> re.Pattern[str]:
    pattern = rf"(?P<name>\b(?:{'|'.join(map(re.escape, names))})\b)|{_WORDS}"
    return re.compile(pattern, re.IGNORECASE | re.VERBOSE)


def _clauses(tokens: list[Token]) -> list[list[Token]]:
    """Cut at breaks, and at a comma or an "and" after which a new statement begins."""
    clauses: list[list[Token]] = [[]]
    for place, token in enumerate(tokens):
        kinds = {kind for kind, _ in clauses[-1]}
        after = tokens[place + 1][0] if place + 1 < len(tokens) else "break"
        is_new = token[0] == "comma" and {"name", "role"} <= kinds and after in ("name", "role")
        is_list = bool(clauses[-1]) and clauses[-1][0][0] == "role" and after == "name"
        if token[0] == "break" or (is_new and not is_list):
            clauses.append([])
        else:
            clauses[-1].append(token)
    return [clause for clause in clauses if any(kind != "comma" for kind, _ in clause)]


_SHAPE = {"name": "n", "comma": ",", "role": "r", "is": "i", "none": "o"}
_STATEMENT = re.compile(r"n(?:,+n)*ir|rin(?:,+n)*|rio")


def _read_clause(clause: list[Token]) -> Roles | None:
    """``names is role`` or ``role is names``; None for anything else."""
    shape = "".join(_SHAPE[kind] for kind, _ in clause).strip(",")
    if not _STATEMENT.fullmatch(shape):
        return None
    role = next(text for kind, text in clause if kind == "role")
    named = [text for kind, text in clause if kind == "name"]
    if len(set(named)) < len(named):
        return None
    return dict.fromkeys(named, role.startswith("knight"))


@lru_cache(maxsize=4096)
def _structure_fault(statements: str, gold: tuple[bool, ...]) -> str:
    """Why the reference is not the one solution of the puzzle, or "" if it is."""
    try:
        said = json.loads(statements)
        if len(said) != len(gold):
            return "the puzzle has another number of statements than of inhabitants"
        solutions = solution_set(said)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        return f"the statements of the puzzle cannot be read: {error}"
    if not solutions >> sum(1 << i for i, is_knight in enumerate(gold) if is_knight) & 1:
        return "the reference answer contradicts the statements"
    count = solutions.bit_count()
    return "" if count == 1 else f"the puzzle has {count} solutions"


def solution_set(statements: Sequence[Any]) -> int:
    """The assignments that fit what inhabitant i says in ``statements[i]``, as a set of bits.

    Bit r stands for the assignment in which i is a knight where bit i of r is set. Raises
    ValueError, TypeError or LookupError if something is no statement.
    """
    knights = _knights(len(statements))
    every = (1 << (1 << len(statements))) - 1
    fitting = every
    for is_knight, claim in zip(knights, statements, strict=True):
        fitting &= every ^ is_knight ^ _holds(claim, knights, every)
    return fitting


def _holds(claim: Any, knights: tuple[int, ...], every: int) -> int:
    """The assignments in which a statement holds."""
    operator, *parts = claim
    if operator in ("telling-truth", "lying"):
        who = int(parts[0])
        if who < 0:
            raise ValueError(f"there is no inhabitant {who}")
        return knights[who] if operator == "telling-truth" else every ^ knights[who]
    if operator not in _OPERATORS:
        raise ValueError(f"unknown operator {operator!r}")
    return _OPERATORS[operator](every, *(_holds(part, knights, every) for part in parts))


_OPERATORS: dict[str, Callable[..., int]] = {
    "not": lambda every, a: every ^ a,
    "and": lambda every, *all_of: reduce(and_, all_of, every),
    "or": lambda every, *any_of: reduce(or_, any_of, 0),
    "->": lambda every, a, b: every ^ a | b,
    "<=>": lambda every, a, b: every ^ a ^ b,
}


@lru_cache(maxsize=16)
def _knights(count: int) -> tuple[int, ...]:
    """For each inhabitant the assignments in which that one is a knight."""
    if count > MAX_NAMES:
        raise ValueError(f"{count} inhabitants are too many")
    return tuple(
        sum(1 << assignment for assignment in range(1 << count) if assignment >> i & 1)
        for i in range(count)
    )
