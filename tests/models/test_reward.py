"""The reward model: what it scores, that packing changes nothing, and its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ponder.errors import PonderError
from ponder.models.reward import (
    RewardFacts,
    RewardModel,
    open_reward_model,
)
from ponder.models.tiny import make_tiny_model
from ponder.text.final import final_answer
from ponder.verify.scored import encode_scored, scored_text

HELPFUL = RewardFacts("pairwise", "answer", mean=2.0, std=0.5)
SAFE = RewardFacts("pointwise", "whole")


def tiny(facts: RewardFacts = HELPFUL, family: str = "qwen2") -> tuple[RewardModel, object]:
    model, tokenizer = make_tiny_model(3, family)  # type: ignore[arg-type]
    return RewardModel(model.base_model, facts, seed=1), tokenizer


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_packed_scores_are_those_of_the_last_token_alone(family: str) -> None:
    model, _ = tiny(family=family)
    prompts = [[1, 2, 3], [7, 8]]
    completions = [[4, 5, 6, 9], [4, 5], [10]]
    index = [0, 0, 1]
    with torch.no_grad():
        packed = model.scores(prompts, completions, index)
        for i, ids in enumerate(completions):
            row = torch.tensor([[*prompts[index[i]], *ids]])
            hidden = model.base(row, use_cache=False).last_hidden_state[0, -1]
            torch.testing.assert_close(packed[i], model.head(hidden)[0])
    assert len({round(float(s), 4) for s in packed}) == 3


def test_its_gradient_reaches_the_first_layer() -> None:
    model, _ = tiny()
    scores = model.scores([[1, 2]], [[3], [4]], [0, 0])
    (scores[0] - scores[1]).backward()
    first = next(model.base.layers[0].parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_a_saved_model_is_the_same_again(tmp_path: Path) -> None:
    model, tokenizer = tiny()
    model.save(tmp_path / "rm", tokenizer)  # type: ignore[arg-type]
    again, _ = open_reward_model(tmp_path / "rm", "cpu")
    assert again.facts == HELPFUL
    with torch.no_grad():
        asked = ([[1, 2]], [[3, 4]], [0])
        torch.testing.assert_close(again.scores(*asked), model.scores(*asked))


def test_a_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    model, _ = make_tiny_model(0)
    model.save_pretrained(tmp_path)
    with pytest.raises(PonderError, match="no reward model"):
        open_reward_model(tmp_path, "cpu")


def test_scores_are_normalised_into_the_range_of_a_rule() -> None:
    assert HELPFUL.normalised(2.0) == pytest.approx(0.5)
    assert HELPFUL.normalised(2.5) == pytest.approx(1 / (1 + 2.718281828**-1))
    assert SAFE.normalised(0.0) == pytest.approx(0.5)
    assert 0 <= HELPFUL.normalised(-1e6) < HELPFUL.normalised(1e6) <= 1


def test_helpfulness_sees_the_final_answer_only_and_safety_everything() -> None:
    text = "<think> secret </think> <answer> 4 </answer>"
    assert scored_text(HELPFUL, "Q <think>\n", text) == ("Q ", "4")
    assert scored_text(SAFE, "Q <think>\n", text) == ("Q <think>\n", text)
    _, tokenizer = tiny()
    encode = lambda facts, t: encode_scored(tokenizer, facts, "Q", t)  # type: ignore[arg-type]  # noqa: E731
    assert encode(HELPFUL, text) == encode(HELPFUL, text.replace("secret", "other"))
    assert encode(SAFE, text) != encode(SAFE, text.replace("secret", "other"))


@pytest.mark.parametrize(
    ("text", "prompt", "answer"),
    [
        ("<think> a </think> <answer> b </answer>", "", "b"),
        ("a </think>\n\nb \\boxed{4}", "Q <think>", "b \\boxed{4}"),
        ("still thinking", "Q <think>", ""),
        ("<think> still thinking", "", ""),
        ("just this", "Q", "just this"),
        ("<think> a </think> b <think> c", "", "b"),
        ("<think> a </think> b </think> c", "", "c"),
    ],
)
def test_final_answer(text: str, prompt: str, answer: str) -> None:
    assert final_answer(text, prompt) == answer
