"""The local engine against transformers itself: same tokens, same log-probabilities."""

import pytest
import torch
from tests.generate.helpers import random_prompts, trainer_logprobs

from ponder.generate.local import LocalGenerator
from ponder.models.linear import use_onednn_linears
from ponder.models.tiny import make_tiny_model
from ponder.types import Sampling

LENGTHS = (1, 2, 31, 32, 33, 34, 65)


@pytest.mark.parametrize(
    ("family", "num_kv_heads", "common"),
    [("qwen2", 2, 0), ("qwen2", 2, 33), ("llama", 1, 1), ("llama", 4, 70)],
)
def test_greedy_is_that_of_generate(family, num_kv_heads, common) -> None:
    model, tokenizer = make_tiny_model(1, family, num_kv_heads=num_kv_heads)
    lengths = [common + length for length in LENGTHS]
    prompts = random_prompts(lengths, common=common)
    limit = 40
    generator = LocalGenerator(model, tokenizer)
    groups = generator.generate(prompts, 2, Sampling(0.0, max_completion_tokens=limit), seed=0)
    for prompt, (first, second) in zip(prompts, groups, strict=True):
        ids = torch.tensor([prompt.token_ids])
        expected = model.generate(ids, do_sample=False, max_new_tokens=limit)
        assert first.token_ids == expected[0, ids.shape[1] :].tolist()
        assert second.token_ids == first.token_ids
        ended = first.token_ids[-1] == tokenizer.eos_token_id
        assert first.finish_reason == ("stop" if ended else "length")


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_sampler_logprobs_are_those_of_a_plain_forward_pass(family, temperature) -> None:
    model, tokenizer = make_tiny_model(2, family)
    use_onednn_linears(model)
    prompts = random_prompts((40, 3, 71, 36), common=2)
    sampling = Sampling(temperature, top_p=0.9, top_k=50, max_completion_tokens=80)
    groups = LocalGenerator(model, tokenizer).generate(prompts, 3, sampling, seed=4)
    for prompt, group in zip(prompts, groups, strict=True):
        for completion in group:
            expected = trainer_logprobs(model, prompt, completion, temperature)
            found = torch.tensor(completion.sampler_logprobs)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_greedy_logprobs_are_of_temperature_one() -> None:
    model, tokenizer = make_tiny_model(3)
    (prompt,) = random_prompts((9,))
    sampling = Sampling(0.0, max_completion_tokens=20)
    ((completion,),) = LocalGenerator(model, tokenizer).generate([prompt], 1, sampling, seed=0)
    expected = trainer_logprobs(model, prompt, completion, 1.0)
    torch.testing.assert_close(
        torch.tensor(completion.sampler_logprobs), expected, atol=1e-4, rtol=0
    )


def test_bfloat16_weights_keep_close_to_a_plain_forward_pass() -> None:
    model, tokenizer = make_tiny_model(4)
    model.bfloat16()
    prompts = random_prompts((40, 3))
    groups = LocalGenerator(model, tokenizer).generate(
        prompts, 2, Sampling(max_completion_tokens=30), seed=0
    )
    for prompt, group in zip(prompts, groups, strict=True):
        for completion in group:
            expected = trainer_logprobs(model, prompt, completion, 1.0)
            error = (torch.tensor(completion.sampler_logprobs) - expected).abs()
            assert error.mean() < 0.05


def test_the_trainers_weights_are_the_samplers() -> None:
    model, tokenizer = make_tiny_model(5)
    generator = LocalGenerator(model, tokenizer)
    (prompt,) = random_prompts((12,))
    sampling = Sampling(max_completion_tokens=16)
    ((before,),) = generator.generate([prompt], 1, sampling, seed=0)
    with torch.no_grad():
        model.lm_head.weight.mul_(-1)
    ((after,),) = generator.generate([prompt], 1, sampling, seed=0)
    assert before.token_ids != after.token_ids
    expected = trainer_logprobs(model, prompt, after, 1.0)
    torch.testing.assert_close(torch.tensor(after.sampler_logprobs), expected, atol=1e-4, rtol=0)


def test_the_model_is_left_as_it_was() -> None:
    model, tokenizer = make_tiny_model(6)
    model.train()
    ids = torch.arange(12).unsqueeze(0)
    before, attention = model(ids).logits, model.config._attn_implementation
    generator = LocalGenerator(model, tokenizer)
    generator.load(model, version=7)
    generator.generate(random_prompts((4,)), 2, Sampling(max_completion_tokens=5), seed=0)
    assert generator.version == 7
    assert model.training
    assert model.config._attn_implementation == attention
    logits = model(ids).logits
    assert torch.equal(logits, before)
    assert logits.requires_grad


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_on_cuda_too(family) -> None:
    model, tokenizer = make_tiny_model(1, family)
    model.cuda()
    prompts = random_prompts(LENGTHS)
    sampling = Sampling(max_completion_tokens=70)
    for prompt, group in zip(
        prompts, LocalGenerator(model, tokenizer).generate(prompts, 2, sampling, 0), strict=True
    ):
        for completion in group:
            expected = trainer_logprobs(model, prompt, completion, 1.0)
            found = torch.tensor(completion.sampler_logprobs)
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
