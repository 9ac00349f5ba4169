"""The prompt templates: the paper's letter for letter, the model's own, none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ponder.config.rl import TemplateConfig
from ponder.errors import PonderError
from ponder.text.templates import R1_ZERO_TEMPLATE, render

PAPER = (
    "A conversation between User and Assistant. "
    "The user asks a question, and the Assistant solves it. "
    "The assistant first thinks about the reasoning process in the mind and then provides the user "
    "with the answer. "
    "The reasoning process and answer are enclosed within <think>...</think> and "
    "<answer>...</answer> tags, respectively, "
    "i.e., <think> reasoning process here </think> <answer> answer here </answer>. "
    "User: prompt. "
    "Assistant:"
)
CHAT = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    + CHAT
)


def tokenizer(chat_template: str | None) -> Any:
    made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    made.chat_template = chat_template
    return made


def test_r1_zero_is_the_papers_table_1_character_by_character() -> None:
    assert list(render(TemplateConfig(), "prompt")) == list(PAPER)
    assert R1_ZERO_TEMPLATE.count("{question}") == 1


def test_r1_zero_agrees_with_the_notes() -> None:
    notes = Path(__file__).parents[3] / "shared" / "recipe.md"
    if not notes.is_file():
        pytest.skip(f"{notes} is not on this machine")
    assert f"`{PAPER}`" in notes.read_text(encoding="utf-8")


def test_question_is_put_in_as_it_is() -> None:
    question = "What is {question} + {0}? \\boxed{} %s 方程"
    assert render(TemplateConfig(), question) == PAPER.replace("prompt", question)
    assert render(TemplateConfig(name="plain"), question) == question


def test_suffix_follows_the_question() -> None:
    assert render(TemplateConfig(name="plain", suffix="\nThink."), "1+1?") == "1+1?\nThink."
    assert "User: 1+1? Think.. Assistant:" in render(TemplateConfig(suffix=" Think."), "1+1?")


def test_chat_uses_the_models_own_template() -> None:
    config = TemplateConfig(name="chat", system="Be brief.", suffix=" Why?")
    text = render(config, "1+1?", tokenizer(CHAT))
    assert text == "[system]Be brief.[user]1+1? Why?[assistant]"
    assert render(TemplateConfig(name="chat"), "Hi", tokenizer(CHAT)) == "[user]Hi[assistant]"


@pytest.mark.parametrize("model", [None, tokenizer(None)])
def test_chat_without_a_chat_template_says_what_to_use(model: Any) -> None:
    with pytest.raises(PonderError, match=r"no chat template; use template\.name = \"r1_zero\""):
        render(TemplateConfig(name="chat"), "Hi", model)


def test_chat_template_that_refuses_is_the_users_error() -> None:
    with pytest.raises(PonderError, match="no system here") as caught:
        render(TemplateConfig(name="chat", system="Be brief."), "Hi", tokenizer(NO_SYSTEM))
    assert caught.value.field == "template.system"


@pytest.mark.parametrize("name", ["r1_zero", "plain"])
def test_system_message_is_never_ignored(name: Any) -> None:
    with pytest.raises(PonderError, match=r"template\.system"):
        render(TemplateConfig(name=name, system="Be brief."), "Hi")
