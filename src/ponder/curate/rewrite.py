"""Traces rewritten by a model: a thought that reads well in one language, and a summary after it.

DeepSeek-R1 (arXiv 2501.12948 v2, B.3.2) had people rewrite some traces of R1-Zero into a natural
first person, had DeepSeek-V3 rewrite the rest after their example, had it translate a mixed thought
into the question's language, and had it write a readable solution from the question and the
thought, since R1-Zero's own summary is no more than the answer. The instructions here say the same
in our words. Nothing that comes back is believed: the caller verifies it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.curate.filters import language_of
from ponder.curate.row import Row
from ponder.curate.shape import parts_of
from ponder.seeds import derive_seed
from ponder.text.asking import MakePrompt
from ponder.text.final import final_answer
from ponder.text.language import language_consistency
from ponder.types import Generator, Prompt, Sampling

REFINE = """\
Below are a question and somebody's notes while solving it. Write the notes out as one person's \
natural train of thought: in the first person ("I"), in short paragraphs, beginning with what is \
asked, then the reasoning with every doubt, check and correction that the notes have. Keep to what \
the notes say: solve nothing anew, add no step, change no number and no result. Write in the \
language of the question. Give the text alone, without a title, and without tags."""

TRANSLATE = """\
Below are a question and somebody's thoughts while solving it, in which languages are mixed. \
Translate the thoughts into the language of the question, all of them and nothing else: formulas, \
numbers and results stay as they are, and no step is added or left out. Give the text alone, \
without a title, and without tags."""

SUMMARISE = """\
Below are a question and the private thoughts that led to its answer. Write the solution that the \
person who asked will read: in the language of the question, clear and complete, built of steps \
that are in the thoughts and no others, formulas in LaTeX, the final answer at the end in \
\\boxed{}. Do not solve the question yourself: if the thoughts are wrong, so is the solution. Say \
nothing of thoughts or notes, and begin with the solution at once, without a title."""

_ASKED = "{instruction}\n\n{examples}[question]\n{question}\n\n[thoughts]\n{thought}\n"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One attempt: a thought and a summary, without tags."""

    thought: str
    summary: str


class Rewriter:
    """Asks a model to rewrite traces.

    Args:
        generator, make_prompt, sampling: who is asked, and how; see ``text.asking``.
        attempts: rewritings of each trace.
        only_summary: leave thoughts as they are.
        examples: text put before each request, or "".
        min_language: a thought with a smaller share of the question's language is translated.
    """

    def __init__(
        self,
        generator: Generator,
        make_prompt: MakePrompt,
        sampling: Sampling,
        attempts: int = 1,
        only_summary: bool = False,
        examples: str = "",
        min_language: float = 0.9,
    ) -> None:
        self._generator, self._make_prompt, self._sampling = generator, make_prompt, sampling
        self._attempts, self._only_summary = attempts, only_summary
        self._examples = f"{examples.strip()}\n\n" if examples.strip() else ""
        self._min_language = min_language

    def rewrite(self, rows: Sequence[Row], seed: int) -> list[list[Rewriting]]:
        """The attempts of each row; none of a row without a closed thought.

        Raises PonderError as the generator does.
        """
        thoughts = [self._thought(row) for row in rows]
        drafts = self._thoughts(rows, thoughts, seed)
        asked = [
            (place, number)
            for place, texts in enumerate(drafts)
            for number in range(len(texts))
            if texts[number]
        ]
        prompts = [
            self._prompt(SUMMARISE, rows[place], drafts[place][number], f"summary{number}")
            for place, number in asked
        ]
        found: list[list[Rewriting]] = [[] for _ in rows]
        replies = self._ask(prompts, 1, derive_seed(seed, "summary"))
        for (place, number), (reply, *_) in zip(asked, replies, strict=True):
            if reply:
                found[place].append(Rewriting(drafts[place][number], reply))
        return found

    def _thoughts(self, rows: Sequence[Row], thoughts: Sequence[str], seed: int) -> list[list[str]]:
        """The thoughts of each attempt; "" where nothing came back."""
        if self._only_summary:
            return [[thought] * self._attempts if thought else [] for thought in thoughts]
        asked = [place for place, thought in enumerate(thoughts) if thought]
        prompts = [
            self._prompt(self._instruction(rows[i], thoughts[i]), rows[i], thoughts[i], "thought")
            for i in asked
        ]
        found: list[list[str]] = [[] for _ in rows]
        replies = self._ask(prompts, self._attempts, derive_seed(seed, "thought"))
        for place, texts in zip(asked, replies, strict=True):
            found[place] = texts
        return found

    def _thought(self, row: Row) -> str:
        parts = parts_of(row.prompt, row.completion)
        return parts[0] if parts else ""

    def _instruction(self, row: Row, thought: str) -> str:
        is_mixed = language_consistency(thought, language_of(row)) < self._min_language
        return TRANSLATE if is_mixed else REFINE

    def _prompt(self, instruction: str, row: Row, thought: str, what: str) -> Prompt:
        message = _ASKED.format(
            instruction=instruction,
            examples=self._examples,
            question=row.question,
            thought=thought,
        )
        return self._make_prompt(f"{row.id}#{what}", message)

    def _ask(self, prompts: Sequence[Prompt], attempts: int, seed: int) -> list[list[str]]:
        """Replies without the replier's own thought; "" for one that a limit cut."""
        if not prompts:
            return []
        groups = self._generator.generate(prompts, attempts, self._sampling, seed)
        return [
            [final_answer(one.text) if one.finish_reason == "stop" else "" for one in group]
            for group in groups
        ]
