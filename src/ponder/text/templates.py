"""How a question becomes a prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ponder.config.rl import TemplateConfig
from ponder.errors import PonderError

R1_ZERO_TEMPLATE = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves "
    "it. The assistant first thinks about the reasoning process in the mind and then provides the "
    "user with the answer. The reasoning process and answer are enclosed within <think>...</think> "
    "and <answer>...</answer> tags, respectively, i.e., <think> reasoning process here </think> "
    "<answer> answer here </answer>. User: {question}. Assistant:"
)
"""DeepSeek-R1 (arXiv 2501.12948 v2), Table 1, verbatim; ``{question}`` stands for its *prompt*."""


THINK = "<think>"


def opens_thought(prompt: str) -> bool:
    """Whether a prompt ends with the ``<think>`` of its completion, as R1's chat template does."""
    return prompt.rstrip().endswith(THINK)


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that the chat template needs."""

    chat_template: Any

    def apply_chat_template(
        self, conversation: Any, *, add_generation_prompt: bool, tokenize: bool
    ) -> Any: ...


def render(template: TemplateConfig, question: str, tokenizer: ChatTokenizer | None = None) -> str:
    """The prompt text of a question.

    ``template.suffix`` is appended as it stands (it brings its own space or newline). Only ``chat``
    needs the tokenizer.

    Raises:
        PonderError: a system message outside ``chat``; ``chat`` for a model without a chat template
            or with one that refuses this conversation.
    """
    if template.system is not None and template.name != "chat":
        raise PonderError(
            "template.system",
            template.system,
            f'the template "{template.name}" has no system message; '
            'remove it or use template.name = "chat"',
        )
    return _RENDERERS[template.name](template, question + template.suffix, tokenizer)


def _r1_zero(template: TemplateConfig, question: str, tokenizer: ChatTokenizer | None) -> str:
    return R1_ZERO_TEMPLATE.replace("{question}", question)


def _plain(template: TemplateConfig, question: str, tokenizer: ChatTokenizer | None) -> str:
    return question


def _chat(template: TemplateConfig, question: str, tokenizer: ChatTokenizer | None) -> str:
    if tokenizer is None or not tokenizer.chat_template:
        raise PonderError(
            "template.name",
            "chat",
            'this model has no chat template; use template.name = "r1_zero" or "plain"',
        )
    from jinja2 import TemplateError  # a dependency of torch; only chat templates need it

    messages = [{"role": "user", "content": question}]
    if template.system is not None:
        messages.insert(0, {"role": "system", "content": template.system})
    try:
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except TemplateError as error:
        raise PonderError(
            "template.system" if template.system is not None else "template.name",
            template.system or "chat",
            f"the model's chat template refused the conversation: {error}",
        ) from error
    return str(text)


_RENDERERS: dict[str, Callable[[TemplateConfig, str, ChatTokenizer | None], str]] = {
    "r1_zero": _r1_zero,
    "plain": _plain,
    "chat": _chat,
}
