"""Readability: small functions of a row that return why it is dropped, or None.

DeepSeek-R1 (arXiv 2501.12948 v2) keeps, of what R1-Zero wrote for the cold start, what has a
correct answer and "a readable format", with "repetition detection and language-mixing filtering"
(B.3.2); of the samples for the second SFT it drops "chain-of-thought with mixed languages, long
paragraphs, and code blocks" (B.3.3). No threshold of any of these is printed: those here are ours,
and ``FilterConfig`` has them all.

Reasons are few and fixed, since the data card counts by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from ponder.config.curate import FilterConfig
from ponder.curate.row import Row
from ponder.curate.tokens import run_hashes
from ponder.text.language import LANGUAGES, detect_language, language_consistency
from ponder.text.parsing import format_fault, parse_completion
from ponder.text.repetition import (
    DEFAULT_NGRAM,
    WINDOW_CHARACTERS,
    ending_loop,
    repetition_penalty,
)
from ponder.text.templates import THINK, opens_thought

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_SEED_CHARACTERS = 60

RowFilter = Callable[[Row], str | None]


def full_text(row: Row) -> str:
    """The completion, with the ``<think>`` that a chat template had put into the prompt."""
    return f"{THINK}{row.completion}" if opens_thought(row.prompt) else row.completion


def thought_of(row: Row) -> str | None:
    """What stands in <think>, or None if no thought was closed."""
    return parse_completion(row.completion).thought


def length(row: Row, config: FilterConfig) -> str | None:
    """Too short, too long, or cut off by a token limit.

    The paper says nothing of lengths here, but that SFT's context is 32,768 tokens.
    """
    size = len(row.completion.strip())
    if size < config.min_characters:
        return "too short"
    if config.max_characters and size > config.max_characters:
        return "too long"
    is_cut = row.metadata.get("finish_reason") == "length"
    return "cut off" if is_cut and not config.allow_truncated else None


def has_format(row: Row, config: FilterConfig) -> str | None:
    """Tags that are missing or out of order.

    ``thought`` is what R1's own data looks like (a thought, then a summary without tags); ``r1``
    is the format that R1-Zero is rewarded for.
    """
    if config.format == "any":
        return None
    if config.format == "r1":
        return "format" if format_fault(full_text(row)) else None
    before, closed, after = full_text(row).rpartition("</think>")
    is_one = bool(closed) and before.count(THINK) == 1 and before.lstrip().startswith(THINK)
    return None if is_one and after.strip() and THINK not in after else "format"


def one_language(row: Row, config: FilterConfig) -> str | None:
    """A thought in other scripts than its question: too few words of the question's language.

    The language is the row's "language" where it has one. The paper drops mixed languages without
    saying how much is mixed; its reward counts words (``text.language``), and so do we.
    """
    if not config.min_language:
        return None
    thought = thought_of(row)
    text = row.completion if thought is None else thought
    target = language_of(row)
    if text.isascii() and "latin" in LANGUAGES[target]:
        return None  # no word of it is in another script
    is_mixed = language_consistency(text, target) < config.min_language
    return "mixed languages" if is_mixed else None


def language_of(row: Row) -> str:
    """The language that the row says it is in, otherwise that of its question."""
    declared = row.metadata.get("language")
    if isinstance(declared, str) and declared in LANGUAGES:
        return declared
    return "en" if row.question.isascii() else detect_language(row.question)


def repetition(row: Row, config: FilterConfig) -> str | None:
    """Says again what it said (``text.repetition``), or ends in a loop."""
    if not config.allow_loop and may_loop(row.completion) and ending_loop(row.completion):
        return "loop"
    if config.max_repetition >= 1 or not may_repeat(row.completion, config.max_repetition):
        return None
    is_repeating = -repetition_penalty(row.completion) > config.max_repetition
    return "repetition" if is_repeating else None


def may_loop(text: str) -> bool:
    """False if ``ending_loop`` would find nothing, told in a fraction of its time.

    A loop of at least four periods and 120 characters has its last 60 characters once more, one
    period before.
    """
    end = " ".join(text[-WINDOW_CHARACTERS:].split())
    return end.find(end[-_SEED_CHARACTERS:]) < len(end) - _SEED_CHARACTERS


def may_repeat(text: str, share: float) -> bool:
    """False if no more than ``share`` of the text's n-grams can be repeats, told without them.

    An n-gram that stood in the text before is at least as many characters (blanks aside) that did;
    so there are no more such n-grams than places where such a run of characters starts again. And
    there are at least as many units as words.
    """
    words = text.casefold().split()
    num_ngrams = len(words) - DEFAULT_NGRAM + 1
    if num_ngrams < 1:
        return True
    codes = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), np.uint32)
    runs = np.sort(run_hashes(codes.astype(np.uint64), DEFAULT_NGRAM))
    return int((runs[1:] == runs[:-1]).sum()) > share * num_ngrams


def paragraphs(row: Row, config: FilterConfig) -> str | None:
    """A thought with a paragraph longer than a reader takes in; a paragraph ends with its line."""
    bound = config.max_paragraph_characters
    if not bound or len(row.completion) <= bound:
        return None
    longest = max(map(len, (thought_of(row) or "").splitlines()), default=0)
    return "long paragraph" if longest > bound else None


def code_in_thought(row: Row, config: FilterConfig) -> str | None:
    """A fenced block of code in the thought; code in the answer is welcome."""
    if config.allow_code_in_thought or not ("```" in row.completion or "~~~" in row.completion):
        return None
    return "code in the thought" if _FENCE.search(thought_of(row) or "") else None


FILTERS: tuple[Callable[[Row, FilterConfig], str | None], ...] = (
    length,
    has_format,
    code_in_thought,
    paragraphs,
    one_language,
    repetition,
)
"""In this order, the cheapest first; the first reason is the one that counts."""


def drop_reason(row: Row, config: FilterConfig) -> str | None:
    """Why the row is dropped, or None if it is readable."""
    return next((reason for one in FILTERS if (reason := one(row, config))), None)


def row_filter(config: FilterConfig) -> RowFilter:
    """``drop_reason`` with its config."""
    return partial(drop_reason, config=config)
