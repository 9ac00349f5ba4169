"""Multiple choice: which of the options a completion commits to.

Prefers ``incorrect``: "A and B", two different letters, a letter that no option has, a letter with
the text of another option, or more words than an answer needs are all no choice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ponder.types import Judgement, Problem, Verdict
from ponder.verify.extract import extract_answer
from ponder.verify.numbers import parse_number, same_number

LETTERS = "ABCDEFGHIJ"
MAX_ANSWER_CHARACTERS = 2_000
MAX_ANSWER_LINES = 20


def verify_choice(problem: Problem, completion_text: str) -> Judgement:
    """Judges by letter.

    ``problem.answer`` is a letter (A-J), the text of an option or its index from 0;
    ``metadata["choices"]`` the texts of the options, if they are known. With
    ``metadata["answer_convention"] == "answer_line"`` a completion without ``<answer>`` or box may
    also say "Answer: C", "The answer is (C)", "答案：C" or "选C".
    """
    choices = problem.metadata.get("choices")
    gold = gold_letter(problem.answer, choices)
    if gold is None:
        return Judgement(Verdict.ERROR, None, "the reference answer is not one of the options")
    answers, reason = _answers(problem.metadata, completion_text)
    if not answers:
        return Judgement(Verdict.UNPARSABLE, None, reason)
    letters = {read_choice(answer, choices) for answer in answers}
    if len(letters) > 1:
        return Judgement(Verdict.INCORRECT, answers[-1], "two different answers")
    if letters == {None}:
        return Judgement(Verdict.INCORRECT, answers[-1], "not one of the options")
    if letters == {gold}:
        return Judgement(Verdict.CORRECT, answers[-1])
    return Judgement(Verdict.INCORRECT, answers[-1], "another option")


def gold_letter(answer: str, choices: Sequence[str] | None) -> str | None:
    """The letter of a reference answer, or None if it is no option or can be read in two ways.

    A letter is a letter, even where it is also an option's text. "2" may be an index or a text:
    where the two differ it is neither.
    """
    letter = answer.strip()
    if letter in LETTERS and len(letter) == 1:
        return letter if choices is None or LETTERS.index(letter) < len(choices) else None
    if choices is None:
        return None
    readings = set(_by_text(answer, choices))
    if re.fullmatch(r"[0-9]", letter) and int(letter) < len(choices):
        readings.add(LETTERS[int(letter)])
    return readings.pop() if len(readings) == 1 else None


def read_choice(answer: str, choices: Sequence[str] | None) -> str | None:
    """The letter of the one option that an answer names, or None.

    By letter ("C", "(C)", "**C**", "option C"), by text (exact but for width, case and space, or
    the same number), or by both where they agree ("C) 42", "42 (C)"). Without ``choices`` the
    letter stands alone or before a number.
    """
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return None
    text = _plain(answer)
    letter, rest = _split_letter(text)
    if choices is None:
        return letter if letter and (not rest or parse_number(rest)) else None
    texts = _by_text(text, choices)
    is_capital = letter in text  # a small "c" may be an option's text, such as the speed of light
    if letter and not rest and LETTERS.index(letter) < len(choices) and (is_capital or not texts):
        return letter
    if len(texts) == 1:
        return texts[0]  # before "letter and text": an option may say "A) and B)"
    return letter if letter and letter in _by_text(rest, choices) else None


_FULL_WIDTH = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {"\u3000": " ", "\xa0": " "}
)
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textrm|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_LATEX_SPACE = re.compile(r"\\[,;:! ]|\\q?quad(?![A-Za-z])|~")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("{", "}"))
_PREFIX = (
    r"(?:(?:the\s+)?(?:correct\s+|final\s+)?(?:answer|option|choice)(?:\s+is\s*:?|\s*:)?\s*"
    r"|(?:正确)?(?:答案|选项)\s*(?:是|为|:)?\s*|故?选\s*)?"
)
_LETTER_FIRST = re.compile(
    rf"(?i:{_PREFIX}{_PREFIX})(?:\(\s*([A-Ja-j])\s*\)|\[\s*([A-Ja-j])\s*\]|([A-Ja-j])(?![^\W_]))"
    r"\s*[).:、。]?\s*(.*)",
    re.DOTALL,
)
_LETTER_LAST = re.compile(r"(.*\S)\s*\(\s*([A-J])\s*\)\.?", re.DOTALL)


def _split_letter(text: str) -> tuple[str, str]:
    """The letter that an answer begins (or ends) with, and what else it says; "" for no letter."""
    if match := _LETTER_FIRST.fullmatch(text):
        return (match[1] or match[2] or match[3]).upper(), match[4].strip()
    if match := _LETTER_LAST.fullmatch(text):
        return match[2], match[1].strip()
    return "", text


def _by_text(text: str, choices: Sequence[str]) -> list[str]:
    """Letters of the options with this text; failing that, of those that are the same number."""
    if not text.strip():
        return []
    lettered = list(zip(LETTERS, choices, strict=False))
    for key in (_plain, _folded):
        if found := [letter for letter, choice in lettered if key(choice) == key(text)]:
            return found
    if (number := parse_number(text)) is None:
        return []
    numbers = [(letter, parse_number(choice)) for letter, choice in lettered]
    return [letter for letter, other in numbers if other and same_number(other, number)]


def _folded(text: str) -> str:
    return _plain(text).casefold()


def _plain(text: str) -> str:
    """Width, space, text commands, wrappers and a last full stop taken away."""
    plain = _BOLD.sub(r"\1", _TEXT_COMMAND.sub(r"\1", text.translate(_FULL_WIDTH)))
    plain = _LATEX_SPACE.sub(" ", plain)
    plain = " ".join(plain.split())
    changed = True
    while changed:
        before = plain
        if plain.endswith((".", "。")) and not plain.endswith(".."):
            plain = plain[:-1].rstrip()
        for left, right in _WRAPPERS:
            if len(plain) > len(left + right) and plain.startswith(left) and plain.endswith(right):
                plain = plain[len(left) : -len(right)].strip()
                break
        changed = plain != before
    return plain


_ANSWER_IS = re.compile(
    r"(?im:\banswer[ \t]*+\**+[ \t]*+(?:is\s*:?|:|：)|(?:答案|选项)\s*(?:是|为|:|：)+"
    r"|(?:(?:应|故|该)选|^[ \t]*选)[ \t]*[:：]?)[ \t*]*"
)
_DENIED = re.compile(
    r"(?i:\b(?:not|never|nor|if|wrong|incorrect)\b|n['\u2019]t\b|不认为|不觉得|如果|假如|若)"
    r"[^.,;:!?。，；：！？\n]*\Z|不\Z"
)
_SENTENCE_END = re.compile(r"[.。](?:\s|$)")
_MAX_SENTENCE = 200


def _answers(metadata: Mapping[str, Any], text: str) -> tuple[list[str], str]:
    """The different answers that a completion states, or none and why."""
    extracted = extract_answer(text)
    if extracted.answer is not None:
        return [extracted.answer], ""
    if metadata.get("answer_convention") != "answer_line" or extracted.reason != "no answer":
        return [], extracted.reason
    said = text.rpartition("</think>")[2].partition("<think>")[0]
    if "<answer>" in said:
        return [], "unfinished answer"
    lines = {line for line in _answer_lines(said, metadata.get("choices")) if line}
    if len(lines) > MAX_ANSWER_LINES:
        return [], "too many different answer lines"
    return sorted(lines), "no answer line"


def _answer_lines(said: str, choices: Sequence[str] | None) -> Iterator[str]:
    """What follows each "the answer is" that is not denied: "it isn't true that ...".

    The sentence after it counts too where it is an option of its own: "Answer: C. D".
    """
    for match in _ANSWER_IS.finditer(said):
        start = match.end()
        if _DENIED.search(said[max(0, match.start() - _MAX_SENTENCE // 2) : match.start()]):
            continue
        line = said[start : start + _MAX_SENTENCE].partition("\n")[0]
        first, *more = (part.strip(" *_") for part in _SENTENCE_END.split(line, maxsplit=2))
        yield first
        if more and read_choice(more[0], choices):
            yield more[0]
