"""Prompts as tokens: what a tokenizer adds at the start stays, what it adds at the end does not."""

from __future__ import annotations

import pytest
from tokenizers.processors import TemplateProcessing

from ponder.config.rl import TemplateConfig
from ponder.models.tiny import END_TOKEN, PAD_TOKEN, byte_level_tokenizer
from ponder.rollout.prompts import PromptMaker
from ponder.types import Problem

FIRST, SECOND = byte_level_tokenizer().encode("hi")


@pytest.mark.parametrize(
    ("adds", "question", "expected"),
    [
        ("$A", "hi", (FIRST, SECOND)),
        (f"{PAD_TOKEN} $A", "hi", (257, FIRST, SECOND)),
        (f"{PAD_TOKEN} $A {END_TOKEN}", "hi", (257, FIRST, SECOND)),
        ("$A", f"hi{END_TOKEN}", (FIRST, SECOND, 256)),
    ],
)
def test_added_tokens(adds: str, question: str, expected: tuple[int, ...]) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=adds, special_tokens=[(PAD_TOKEN, 257), (END_TOKEN, 256)]
    )
    make_prompt = PromptMaker(TemplateConfig(name="plain"), tokenizer)
    assert make_prompt(Problem("p", question, "1")).token_ids == expected


def test_a_chat_template_writes_its_own_special_tokens() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{PAD_TOKEN} $A {END_TOKEN}",
        special_tokens=[(PAD_TOKEN, 257), (END_TOKEN, 256)],
    )
    tokenizer.chat_template = "{{ messages[0].content }}"
    make_prompt = PromptMaker(TemplateConfig(name="chat"), tokenizer)
    assert make_prompt(Problem("p", "hi", "1")).token_ids == (FIRST, SECOND)
