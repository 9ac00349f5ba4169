"""The fake that ships: exact text round trips, deterministic weights, real saved folders."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponder.models.tiny import byte_level_tokenizer, make_tiny_model


@pytest.mark.parametrize(
    "text", ["12 + 345 = 357.", "<think> a\n\n b </think>", "naïve 日本 \U0001f600 \t x", "", "  "]
)
def test_any_text_round_trips(text: str) -> None:
    tokenizer = byte_level_tokenizer([" the", "think"])
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_are_single_tokens_and_words_are_one() -> None:
    tokenizer = byte_level_tokenizer([" wait"])
    assert len(tokenizer("1234")["input_ids"]) == 4
    assert len(tokenizer(" wait")["input_ids"]) == 1
    assert len(tokenizer("<|endoftext|>")["input_ids"]) == 1
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (256, 257)


def test_weights_follow_from_the_seed_and_leave_the_global_state_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, _ = make_tiny_model(1)
    assert torch.equal(torch.get_rng_state(), state)
    again, _ = make_tiny_model(1)
    other, _ = make_tiny_model(2)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_saved_folder_opens_with_from_pretrained(family, tmp_path) -> None:
    model, tokenizer = make_tiny_model(3, family)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = AutoTokenizer.from_pretrained(tmp_path)("a 12 <think>\n", return_tensors="pt").input_ids
    assert ids.tolist() == [tokenizer("a 12 <think>\n")["input_ids"]]
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    assert model.config.model_type == family
