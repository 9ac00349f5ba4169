"""Problems become prompts: the template's text and its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ponder.config.rl import TemplateConfig
from ponder.text.templates import render
from ponder.types import Problem, Prompt


class PromptMaker:
    """Renders a problem with a template and tokenizes it.

    A chat template writes its own special tokens; for the others the tokenizer adds what it always
    adds at the start of a text (for most models a BOS, for Qwen2 nothing). What some add at its end
    is taken off again: after an end token there would be nothing to continue.
    """

    def __init__(self, template: TemplateConfig, tokenizer: Any) -> None:
        self.template = template
        self.tokenizer = tokenizer

    def __call__(self, problem: Problem) -> Prompt:
        return self.all([problem])[0]

    def all(self, problems: Sequence[Problem]) -> list[Prompt]:
        """A prompt for each, tokenized together (tokenizers does them in parallel)."""
        texts = [render(self.template, one.question, self.tokenizer) for one in problems]
        if not texts:
            return []
        is_chat = self.template.name == "chat"
        encoded = self.tokenizer(texts, add_special_tokens=not is_chat)["input_ids"]
        if not is_chat:
            encoded = [self._without_added_end(*pair) for pair in zip(encoded, texts, strict=True)]
        parts = zip(problems, texts, encoded, strict=True)
        return [Prompt(problem.id, text, tuple(ids)) for problem, text, ids in parts]

    def _without_added_end(self, ids: list[int], text: str) -> list[int]:
        end = self.tokenizer.eos_token
        is_added = ids[-1:] == [self.tokenizer.eos_token_id] and not text.endswith(end)
        return ids[:-1] if is_added else ids
