"""The arithmetic corpus in English and Chinese, by a writer who does not keep to one of them.

Question and thought are mostly in one language. Some thoughts are in the other one, some change in
the middle, and those that check do so most often: where reinforcement brings checks out, it brings
the mixing of languages along, as it did in R1-Zero (R1v2 section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from random import Random
from typing import Literal

from ponder.corpus.bilingual_phrases import PHRASES, Language, other, switching
from ponder.corpus.documents import Document, DocumentWriter, StyleShares, Thinker, never
from ponder.corpus.phrases import Phrases
from ponder.corpus.tasks import ChainSum, Gcd, Product, Task
from ponder.corpus.wrappers import WRAPPERS, chinese
from ponder.errors import PonderError

MIXED_CHECKS = ("checked", "double")
"""Checks with room for a change of language."""

BILINGUAL_WRAPPERS = {
    "r1_zero": 0.40,
    "question_answer": 0.30,
    "dialogue": 0.12,
    "chatml": 0.08,
    "plain": 0.10,
}
"""More of the template than in one language: it has two kinds of question to be learnt with."""

CANONICAL_SHARE = 0.3
"""Chinese questions in the words in which ``problems.language = "zh"`` asks them."""


@dataclass(frozen=True, slots=True)
class LanguageShares:
    """Which languages questions and thoughts are in.

    ``chinese``: questions in Chinese. ``other``: thoughts wholly in the language that was not asked
    in. ``mixed_steps``, ``mixed_checks``: of the thoughts in steps, and of those checked once or
    twice, the share that changes language in the middle.
    """

    chinese: float = 0.5
    other: float = 0.06
    mixed_steps: float = 0.12
    mixed_checks: float = 0.40

    @classmethod
    def from_mapping(cls, shares: Mapping[str, float]) -> LanguageShares:
        """The defaults with ``shares`` on top; PonderError for an unknown name or no share."""
        known = [item.name for item in fields(cls)]
        for name, share in shares.items():
            if name not in known:
                fix = f"use one of {', '.join(known)}"
                raise PonderError(f"corpus.languages.{name}", share, fix)
            if not 0 <= share <= 1:
                raise PonderError(f"corpus.languages.{name}", share, "use a share from 0 to 1")
        return cls(**shares)


@dataclass(frozen=True, slots=True)
class BilingualDocument(Document):
    """A document with the languages of its question and of its thought."""

    question_language: Language
    thought_language: Literal["en", "zh", "mixed"]


@dataclass(frozen=True, slots=True)
class BilingualWriter:
    """Writes document ``index`` of the corpus; the same (seed, index) gives the same text.

    Args:
        excluded: says of a canonical English question whether it is held out; such products appear
            in neither language.
    """

    seed: int = 0
    shares: StyleShares = field(default_factory=StyleShares)
    languages: LanguageShares = field(default_factory=LanguageShares)
    excluded: Callable[[str], bool] = never

    def document(self, index: int) -> BilingualDocument:
        rng = Random((self.seed << 40) + index)
        arithmetic = DocumentWriter(self.seed, self.shares, self.excluded)
        asked: Language = "zh" if rng.random() < self.languages.chinese else "en"
        if rng.random() < self.shares.tables:
            return _table(arithmetic.table(rng), asked)
        name, task = arithmetic.draw_task(rng)
        styles = self.shares.styles()
        style = rng.choices(list(styles), list(styles.values()))[0]
        wrapper = rng.choices(list(BILINGUAL_WRAPPERS), list(BILINGUAL_WRAPPERS.values()))[0]
        phrases, language = self.wordings(rng, style, asked)
        thought, value = Thinker(rng, phrases, self.shares).think(style, task)
        final = rng.choice(phrases.final).format(v=value)
        question = ask(rng, task, asked)
        wrap = WRAPPERS[wrapper][1]
        if wrapper == "question_answer" and asked == "zh":
            wrapper, wrap = "chinese", chinese
        text = wrap(rng, question, thought, final, value)
        is_correct = value == task.answer
        is_chinese = language == "zh"
        return BilingualDocument(
            text, name, style, wrapper, is_chinese, is_correct, asked, language
        )

    def wordings(
        self, rng: Random, style: str, asked: Language
    ) -> tuple[Phrases, Literal["en", "zh", "mixed"]]:
        """The banks that a thought draws on, and what to call its language."""
        shares = self.languages
        first = other(asked) if rng.random() < shares.other else asked
        mixed = {"steps": shares.mixed_steps} | dict.fromkeys(MIXED_CHECKS, shares.mixed_checks)
        if rng.random() < mixed.get(style, 0.0):
            return switching(rng, style, first), "mixed"
        return PHRASES[first], first


def _table(table: Document, language: Language) -> BilingualDocument:
    return BilingualDocument(
        table.text, "table", "table", "table", language == "zh", True, language, language
    )


def ask(rng: Random, task: Task, language: Language) -> str:
    """The question of a task; in Chinese now and then in the words of ``problems.language``."""
    if language == "zh" and rng.random() < CANONICAL_SHARE:
        if isinstance(task, Product):
            return f"计算下面的乘法：{task.a} * {task.b}。最后只给出结果。"
        if isinstance(task, ChainSum):
            return f"计算下面的算式：{task.spaced()}。最后只给出结果。"
        if isinstance(task, Gcd):
            return f"求下面这些数的最大公约数：{task.a}, {task.b}。最后只给出结果。"
    return task.question(rng, language == "zh")
