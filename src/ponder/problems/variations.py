"""New problems from worked ones: other numbers, the same words, the calculation done again.

The marks of a solution (see ``worked``) say which numbers of the question go into which step, so
that the steps can be computed anew. What cannot be traced without doubt is not varied: a number
that also stands there as a word, a fraction or a time of day, one that equals an intermediate
result, a solution that uses a number out of nowhere. A percentage changes with its shares (20%
with 0.2, 0.8 and 1.2); an equation that nobody marked counts as marked if it holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from ponder.problems.worked import (
    NUMBER,
    Worked,
    evaluate,
    numbers_in,
    read_worked,
    value_of,
    with_marks,
)

_WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
]  # fmt: skip
_SAID: Mapping[str, tuple[int, ...]] = {
    "half": (2,), "halves": (2,), "twice": (2,), "double": (2,), "doubled": (2,), "pair": (2,),
    "pairs": (2,), "couple": (2,), "third": (3,), "thirds": (3,), "triple": (3,), "tripled": (3,),
    "thrice": (3,), "quarter": (4,), "quarters": (4,), "fourth": (4,), "fifth": (5,), "sixth": (6,),
    "tenth": (10,), "dozen": (12,), "dozens": (12,), "week": (7,), "weeks": (7,), "weekly": (7,),
    "day": (24, 7), "days": (24, 7), "daily": (7,), "hour": (60,), "hours": (60,), "minute": (60,),
    "minutes": (60,), "month": (4, 12, 30), "months": (4, 12, 30), "monthly": (12,),
    "year": (12, 52, 365), "years": (12, 52, 365), "foot": (12,), "feet": (12,), "inches": (12,),
    "score": (20,), "decade": (10,), "century": (100,), "weekday": (5,), "weekdays": (5,),
    "workday": (5,), "workdays": (5,), "monday": (5, 7), "friday": (5, 7),
}  # fmt: skip
"""Numbers that a word of the question stands for."""
_ALWAYS = frozenset({Fraction(1), Fraction(2), Fraction(100), Fraction(1, 2), Fraction(1, 100)})
_SMALLEST = 3
_UNSURE_BEFORE = re.compile(r"[\d./:%-]$|[A-Za-z]$")
_UNSURE_AFTER = re.compile(r"^\s*(?:[/:]|(?:st|nd|rd|th)\b|[ap]\.?m\b|o'clock|-?\d)", re.I)
_PERCENT = re.compile(rf"({NUMBER.pattern})\s*(?:%|percent)", re.I)
_PERCENTAGES = tuple(n for n in range(5, 100, 5) if n != 50)
_TRIES = 10
"""For each variation that is asked for."""


@dataclass(frozen=True, slots=True)
class Variation:
    """A question, its marked solution, and the answer as a number in digits."""

    question: str
    solution: str
    answer: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What a solution may use without a step that makes it.

    Of a percentage also its share, what is left without it, and the whole with it.
    """

    plain: frozenset[Fraction]
    percentages: frozenset[Fraction]

    def become(self, changed: Mapping[Fraction, Fraction]) -> dict[Fraction, set[Fraction]]:
        """What each of them may mean once the numbers of the question have ``changed``."""
        meanings = {value: {changed.get(value, value)} for value in self.plain}
        for old in self.percentages:
            new = changed.get(old, old)
            for offset, sign in ((0, 1), (1, -1), (1, 1)):
                share = offset + sign * old / 100
                meanings.setdefault(share, set()).add(offset + sign * new / 100)
            meanings.setdefault(100 - old, set()).add(100 - new)
        return meanings


class _DoubtError(Exception):
    """A number that could mean two things, or a step that has no such result."""


def variations(
    question: str, solution: str, answer: str, count: int, rng: Random
) -> list[Variation]:
    """Up to ``count`` different variations; none of a problem that cannot be traced."""
    worked = read_worked(with_marks(solution))
    if worked is None or not worked.steps or not _is_number(answer):
        return []
    if evaluate(worked.steps[-1].result) != value_of(answer):
        return []
    known = _known_numbers(question)
    free = _free_numbers(question, worked, known)
    found: dict[str, Variation] = {}
    for _ in range(_TRIES * count if free else 0):
        if len(found) == count:
            break
        chosen = rng.sample(free, rng.randint(1, len(free)))
        new = {n: _other(n, n in known.percentages, rng) for n in chosen}
        try:
            made = _rewrite(question, worked, new, known)
        except _DoubtError:
            continue
        if made.question != question:
            found.setdefault(made.question, made)
    return list(found.values())


def _is_number(answer: str) -> bool:
    return NUMBER.fullmatch(answer) is not None


def _free_numbers(question: str, worked: Worked, known: _Known) -> list[int]:
    """The numbers of the question that may become others, in ascending order."""
    results = {evaluate(step.result) for step in worked.steps}
    used = _used(worked)
    used |= {n for n in known.percentages if used & {n / 100, 1 - n / 100, 1 + n / 100}}
    words = _values_of_words(question) | _values_of_words(_text_of(worked))
    unsure, seen = set(words), set()
    for match in numbers_in(question):
        value = value_of(match[0])
        seen.add(value)
        before, after = question[: match.start()], question[match.end() :]
        if _UNSURE_BEFORE.search(before[-1:]) or _UNSURE_AFTER.match(after[:12]):
            unsure.add(value)
        if 1900 <= value <= 2100 or (value in known.percentages and value > 100):
            unsure.add(value)
    free = {v for v in seen if v.denominator == 1 and v >= _SMALLEST and v in used}
    return sorted(int(v) for v in free - unsure - results - _ALWAYS)


def _used(worked: Worked) -> set[Fraction]:
    """The numbers that the steps calculate with; none if a step's result is not used again."""
    used = {_result(worked.steps[-1].result)}
    for step in reversed(worked.steps):
        if evaluate(step.result) not in used:
            return set()
        used |= {value_of(n[0]) for n in numbers_in(step.expression)}
    return used


def _known_numbers(question: str) -> _Known:
    fractions = {
        value_of(a) / value_of(b)
        for a, b in re.findall(rf"({NUMBER.pattern})/({NUMBER.pattern})", question)
        if value_of(b)
    }
    rests = {1 - share for share in fractions} | {1 + share for share in fractions}
    written = {value_of(match[0]) for match in numbers_in(question)}
    plain = _ALWAYS | written | fractions | rests | _values_of_words(question)
    return _Known(plain, frozenset(value_of(n) for n in _PERCENT.findall(question)))


def _values_of_words(text: str) -> frozenset[Fraction]:
    words = re.findall(r"[a-z]+", text.lower())
    values: set[int] = set()
    for word in words:
        values.update(_SAID.get(word, ()))
        if word in _WORDS:
            values.add(_WORDS.index(word))
    return frozenset(map(Fraction, values))


def _text_of(worked: Worked) -> str:
    return " ".join([*(step.text for step in worked.steps), worked.rest])


def _other(number: int, is_percentage: bool, rng: Random) -> int:
    """Another number that is as round and about as large, or another percentage."""
    if is_percentage:
        return rng.choice([n for n in _PERCENTAGES if n != number])
    unit = next(u for u in (1000, 500, 100, 50, 10, 5, 1) if number % u == 0)
    low, high = max(_SMALLEST, number // 2), max(number * 2, 12)
    others = [n for n in range(-(-low // unit) * unit, high + 1, unit) if n != number]
    return rng.choice(others) if others else number


def _rewrite(question: str, worked: Worked, new: Mapping[int, int], known: _Known) -> Variation:
    changed = {Fraction(old): Fraction(value) for old, value in new.items()}
    asked = known.become(changed)
    made: dict[Fraction, set[Fraction]] = {}
    parts: list[str] = []
    just_made: tuple[Fraction, Fraction] | None = None
    for step in worked.steps:
        parts.append(_rewritten(step.text, asked, made, just_made))
        expression = _replaced(step.expression, asked, made)
        old, value = _result(step.result), evaluate(expression)
        if value is None or not _is_alike(old, value):
            raise _DoubtError
        parts.append(f"<<{expression}={_written(value, step.result)}>>")
        made.setdefault(old, set()).add(value)
        just_made = old, value
    parts.append(_rewritten(worked.rest, asked, made, just_made))
    assert just_made is not None
    written = NUMBER.sub(
        lambda m: _written(changed.get(value_of(m[0]), value_of(m[0])), m[0]), question
    )
    return Variation(written, "".join(parts), _written(just_made[1], ""))


def _result(text: str) -> Fraction:
    value = evaluate(text)
    assert value is not None
    return value


def _rewritten(
    text: str,
    asked: Mapping[Fraction, set[Fraction]],
    made: Mapping[Fraction, set[Fraction]],
    just_made: tuple[Fraction, Fraction] | None,
) -> str:
    """Text between marks. What follows a mark directly is that step's result."""
    head = ""
    first = NUMBER.match(text)
    if just_made is not None and first is not None and value_of(first[0]) == just_made[0]:
        head, text = _written(just_made[1], first[0]), text[first.end() :]
    return head + _replaced(text, asked, made)


def _replaced(
    text: str,
    asked: Mapping[Fraction, set[Fraction]],
    made: Mapping[Fraction, set[Fraction]],
) -> str:
    """Every number as what it has become; one from nowhere, or from a later step, is a doubt."""

    def new(match: re.Match[str]) -> str:
        value = value_of(match[0])
        meanings = made.get(value, set()) | asked.get(value, set())
        if len(meanings) != 1:
            raise _DoubtError
        return _written(next(iter(meanings)), match[0])

    return NUMBER.sub(new, text)


def _is_alike(old: Fraction, new: Fraction) -> bool:
    """Whole stays whole, positive positive; others keep to cents."""
    if (old.denominator == 1) != (new.denominator == 1) or (new > 0) != (old > 0):
        return False
    return 100 % new.denominator == 0 and new < 10_000_000


def _written(value: Fraction, like: str) -> str:
    """In digits, with thousands and cents as ``like`` has them."""
    if value.denominator == 1 and "." not in like:
        return f"{int(value):,}" if "," in like else str(int(value))
    text = f"{float(value):.2f}"
    if like.rpartition(".")[2] != like and len(like.rpartition(".")[2]) == 2:
        return text
    return text.rstrip("0").rstrip(".")
