"""The tags of completions, and how a model is asked to rewrite them."""

from __future__ import annotations

import pytest

from ponder.config.sampling_stage import Shape
from ponder.curate.rewrite import REFINE, SUMMARISE, TRANSLATE, Rewriter
from ponder.curate.row import Row
from ponder.curate.shape import parts_of, reshaped, shaped
from ponder.generate.scripted import ScriptedGenerator
from ponder.models.tiny import make_tiny_model
from ponder.text.asking import as_message
from ponder.text.parsing import format_fault
from ponder.types import Prompt, Sampling

R1 = " <think> I add. </think> <answer> 4 </answer>"
PLAIN = "<think>\nI add.\n</think>\n\nIt is \\boxed{4}."
OPENED = "<|user|>2 + 2<|assistant|><think>\n"


def test_a_thought_and_an_answer_change_their_tags() -> None:
    assert parts_of("Q", R1) == ("I add.", "4")
    assert reshaped("Q", R1, "thought") == "<think>\nI add.\n</think>\n\n4"
    assert format_fault(reshaped("Q", PLAIN, "r1")) == ""
    assert reshaped("Q", R1, "r1") == R1
    assert reshaped("Q", PLAIN, "as_sampled") == PLAIN


@pytest.mark.parametrize("shape", ["thought", "r1", "as_sampled"])
def test_a_prompt_that_opens_the_thought_is_not_opened_twice(shape: Shape) -> None:
    made = reshaped(OPENED, PLAIN, shape)
    assert "<think>" not in made
    assert made.count("</think>") == 1
    assert parts_of(OPENED, made)[0] == "I add."  # type: ignore[index]
    assert reshaped(OPENED, made, "as_sampled") == made
    assert shaped(OPENED, "a", "b", "thought") == "a\n</think>\n\nb"


def test_without_a_closed_thought_nothing_is_invented() -> None:
    for text in ("just 4", "<think> never closed"):
        assert parts_of("Q", text) is None
        assert reshaped("Q", text, "r1") == text


def rewriter(asked: list[str], **settings: object) -> Rewriter:
    def reply(prompt: Prompt, number: int, seed: int) -> str:
        asked.append(prompt.text)
        if prompt.text.startswith(SUMMARISE):
            return "<think>what now</think>The answer is \\boxed{4}."
        return f"I try {number}."

    generator = ScriptedGenerator(reply, make_tiny_model(0)[1])
    sampling = Sampling(max_completion_tokens=200)
    return Rewriter(generator, as_message, sampling, **settings)  # type: ignore[arg-type]


def row(completion: str, question: str = "What is 2 + 2?") -> Row:
    return Row("a", "P", completion, metadata={"question": question})


def test_a_trace_is_refined_and_summarised() -> None:
    asked: list[str] = []
    found = rewriter(asked, attempts=2, examples="LIKE THIS").rewrite([row(R1), row("no")], 0)
    assert [(one.thought, one.summary) for one in found[0]] == [
        ("I try 0.", "The answer is \\boxed{4}."),
        ("I try 1.", "The answer is \\boxed{4}."),
    ]
    assert found[1] == [], "there is no thought to rewrite"
    assert asked[0].startswith(REFINE)
    assert "LIKE THIS" in asked[0]
    assert "What is 2 + 2?" in asked[0]
    assert "I try 1." in asked[-1], "the summary is of the new thought"


def test_a_mixed_thought_is_translated() -> None:
    asked: list[str] = []
    mixed = "<think> 我先把两个数加起来 then I check it 再看一次 </think> \\boxed{4}"
    rewriter(asked).rewrite([row(mixed), row(mixed, "二加二等于多少？"), row(R1)], 0)
    assert [text.startswith(TRANSLATE) for text in asked[:3]] == [True, True, False]


def test_only_the_summary_may_be_written() -> None:
    asked: list[str] = []
    [[one]] = rewriter(asked, only_summary=True).rewrite([row(R1)], 0)
    assert (one.thought, one.summary) == ("I add.", "The answer is \\boxed{4}.")
    assert len(asked) == 1


def test_a_reply_that_a_limit_cut_counts_for_nothing() -> None:
    asked: list[str] = []
    one = rewriter(asked)
    one._sampling = Sampling(max_completion_tokens=2)
    assert one.rewrite([row(R1)], 0) == [[]]
