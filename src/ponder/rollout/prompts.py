"""Problems become prompts: the template's text and its tokens."""

from __future__ import annotations

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
        text = render(self.template, problem.question, self.tokenizer)
        if self.template.name == "chat":
            ids = self.tokenizer.encode(text, add_special_tokens=False)
        else:
            ids = self._without_added_end(self.tokenizer.encode(text), text)
        return Prompt(problem.id, text, tuple(ids))

    def _without_added_end(self, ids: list[int], text: str) -> list[int]:
        end = self.tokenizer.eos_token
        is_added = ids[-1:] == [self.tokenizer.eos_token_id] and not text.endswith(end)
        return ids[:-1] if is_added else ids
