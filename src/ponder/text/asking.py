"""Asking a model for something other than a completion of a problem: a verdict, a rewriting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ponder.config.rl import TemplateConfig
from ponder.text.templates import render
from ponder.types import Prompt

MakePrompt = Callable[[str, str], Prompt]
"""(id, what the user says) -> a prompt for the model that is asked."""


def as_message(prompt_id: str, message: str) -> Prompt:
    """For an endpoint, which applies its own template and tokenizer."""
    return Prompt(prompt_id, message, ())


def chat_prompts(tokenizer: Any) -> MakePrompt:
    """For a local model with a chat template. PonderError, when asked, if it has none."""

    def make(prompt_id: str, message: str) -> Prompt:
        text = render(TemplateConfig(name="chat"), message, tokenizer)
        return Prompt(prompt_id, text, tuple(tokenizer.encode(text, add_special_tokens=False)))

    return make


def quoted(text: str, fence: str) -> str:
    """Text for a model to read as data: between fences, each line marked, nothing special in it.

    Whoever wrote the text must not be able to know ``fence``. Marks of special tokens, such as
    ``<|im_start|>``, are broken by a space, so that no tokenizer reads them as one.
    """
    harmless = text
    for mark in ("<|", "<｜", "|>", "｜>", "</s>", "<s>", "[INST]", "[/INST]"):
        harmless = harmless.replace(mark, f"{mark[0]} {mark[1:]}")
    lines = "\n".join(f"| {line}" for line in harmless.splitlines() or [""])
    return f"[[{fence}\n{lines}\n{fence}]]"
