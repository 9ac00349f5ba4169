"""How a problem and its solution are set in a document: templates, dialogues, plain text."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ponder.text.templates import R1_ZERO_TEMPLATE


def r1_zero(rng: Random, question: str, thought: str, final: str, value: object) -> str:
    """The paper's template; the format asked for is kept in some of the documents only."""
    head = R1_ZERO_TEMPLATE.replace("{question}", question)
    body = rng.choices(
        (
            f" <think> {thought} </think> <answer> {value} </answer>",
            f" {thought} {final}",
            f" <think> {thought} </think> {final}",
            f" {thought} <answer> {value} </answer>",
            f" <answer> {value} </answer>",
            f" <think> {thought} <answer> {value} </answer>",
        ),
        (0.60, 0.14, 0.09, 0.07, 0.06, 0.04),
    )[0]
    return head + body


def chinese(rng: Random, question: str, thought: str, final: str, value: object) -> str:
    return rng.choice(
        (
            f"问题：{question}\n解答：{thought}{final}",
            f"用户：{question}\n助手：{thought}{final}",
            f"{question}\n{thought}{final}",
        )
    )


def question_answer(rng: Random, question: str, thought: str, final: str, value: object) -> str:
    return rng.choice(
        (
            f"Question: {question}\nAnswer: {thought} {final}",
            f"Problem: {question}\nSolution: {thought} {final}",
            f"{question}\n{thought} {final}",
        )
    )


def dialogue(rng: Random, question: str, thought: str, final: str, value: object) -> str:
    tagged = rng.random() < 0.3
    body = f"<think> {thought} </think> <answer> {value} </answer>" if tagged else ""
    return f"User: {question}\nAssistant: {body or f'{thought} {final}'}"


def chatml(rng: Random, question: str, thought: str, final: str, value: object) -> str:
    tagged = rng.random() < 0.3
    body = f"<think>\n{thought}\n</think>\n{final}" if tagged else f"{thought} {final}"
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{body}<|im_end|>"


def plain(rng: Random, question: str, thought: str, final: str, value: object) -> str:
    return f"{thought} {final}"


Wrapper = Callable[[Random, str, str, str, object], str]

WRAPPERS: dict[str, tuple[float, Wrapper]] = {
    "r1_zero": (0.28, r1_zero),
    "question_answer": (0.30, question_answer),
    "dialogue": (0.12, dialogue),
    "chatml": (0.08, chatml),
    "chinese": (0.12, chinese),
    "plain": (0.10, plain),
}
"""Share and maker of each way to set a problem and its solution."""
