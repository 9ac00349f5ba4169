"""Decoders of transformers on the device engine against their own ``generate``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.generate.device.helpers import DeviceGenerator, greedy
from tests.generate.helpers import random_prompts, trainer_logprobs
from tests.generate.test_architectures import LATENT, SIZES, small
from torch import nn
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from ponder.errors import PonderError
from ponder.generate.device.cache import KvLayout
from ponder.generate.device.probe import probe
from ponder.models.tiny import byte_level_tokenizer
from ponder.types import Sampling

LIMIT = 50
PROMPTS = random_prompts((40, 3, 1, 66, 33))


def latent(**changes: Any) -> nn.Module:
    return DeepseekV3ForCausalLM(DeepseekV3Config(**LATENT | changes))


def qwen2(**changes: Any) -> nn.Module:
    return Qwen2ForCausalLM(Qwen2Config(**SIZES | changes))


MODELS = {
    "qwen3": lambda: small("qwen3"),
    "gpt2": lambda: small("gpt2"),
    "qwen2 tied": lambda: qwen2(tie_word_embeddings=True),
    "qwen2 untied": lambda: qwen2(tie_word_embeddings=False),
    "one key head": lambda: qwen2(num_key_value_heads=1),
    "mistral window": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=20)),
    "mistral window of a page": lambda: MistralForCausalLM(
        MistralConfig(**SIZES, sliding_window=32)
    ),
    "qwen2 window in one layer": lambda: qwen2(
        use_sliding_window=True, sliding_window=11, max_window_layers=1
    ),
    "latent": latent,
    "latent, no q_lora": lambda: latent(q_lora_rank=None),
    "latent, not interleaved": lambda: latent(rope_interleave=False),
    "granite": lambda: GraniteForCausalLM(
        GraniteConfig(**SIZES, logits_scaling=4.0, embedding_multiplier=2.0)
    ),
    "cohere": lambda: CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.3)),
}


def make(name: str) -> Any:
    torch.manual_seed(0)
    return MODELS[name]().eval()


@pytest.mark.parametrize("name", MODELS)
def test_greedy_is_that_of_generate(name: str) -> None:
    model = make(name)
    sampling = Sampling(0.0, max_completion_tokens=LIMIT)
    generator = DeviceGenerator(model, byte_level_tokenizer(), max_batch_size=4)
    groups = generator.generate(PROMPTS, 2, sampling, 0)
    for prompt, group in zip(PROMPTS, groups, strict=True):
        expected = greedy(model, prompt, LIMIT)
        for completion in group:
            assert completion.token_ids == expected


@pytest.mark.parametrize("name", MODELS)
def test_logprobs_are_those_of_a_plain_forward_pass(name: str) -> None:
    model = make(name)
    sampling = Sampling(0.8, max_completion_tokens=LIMIT)
    groups = DeviceGenerator(model, byte_level_tokenizer()).generate(PROMPTS, 2, sampling, 0)
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            expected = trainer_logprobs(model, prompt, completion, 0.8)
            found = torch.tensor(completion.sampler_logprobs)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "layout", "numbers"),
    [
        ("latent", KvLayout(1, 12 + 8, 12, is_latent=True), 20),
        ("latent, no q_lora", KvLayout(1, 12 + 8, 12, is_latent=True), 20),
        ("qwen2 tied", KvLayout(2, 8, 8), 32),
        ("one key head", KvLayout(1, 8, 8), 16),
    ],
)
def test_what_is_kept_of_a_token(name: str, layout: KvLayout, numbers: int) -> None:
    assert probe(make(name)).layouts == (layout, layout)
    assert layout.numbers == numbers


class SoftCapped(Qwen2ForCausalLM):
    """Its logits bend only where they are large; those of a small random model are not."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        out = super().forward(*args, **kwargs)
        out.logits = 30.0 * torch.tanh(out.logits / 30.0)
        return out


@pytest.mark.parametrize(
    ("name", "is_plain"),
    [("qwen2 tied", True), ("latent", True), ("granite", False), ("cohere", False)],
)
def test_heads_that_scale_are_found(name: str, is_plain: bool) -> None:
    assert probe(make(name)).plain_head == is_plain


def test_heads_that_bend_are_found() -> None:
    torch.manual_seed(0)
    model = SoftCapped(Qwen2Config(**SIZES)).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(0.01)
    assert not probe(model).plain_head


def test_the_expansion_of_latents_may_have_an_adapter() -> None:
    model = make("latent")

    class Adapted(nn.Module):
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base, self.low = base, nn.Linear(base.in_features, base.out_features, False)

        @property
        def weight(self) -> torch.Tensor:
            return self.base.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.base(x) + self.low(x)

    for layer in model.model.layers:
        layer.self_attn.kv_b_proj = Adapted(layer.self_attn.kv_b_proj)
    sampling = Sampling(max_completion_tokens=LIMIT)
    groups = DeviceGenerator(model, byte_level_tokenizer()).generate(PROMPTS, 1, sampling, 0)
    for prompt, (completion,) in zip(PROMPTS, groups, strict=True):
        expected = trainer_logprobs(model, prompt, completion, 1.0)
        found = torch.tensor(completion.sampler_logprobs)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("lfm2", "only 1 of its 2 layers attended"),
        ("nemotron", "do not hand arguments on"),
        ("mamba", "max_position_embeddings"),
        ("gemma2", "soft-capped"),
    ],
)
def test_these_are_refused(kind: str, why: str) -> None:
    model: Any = small(kind)
    generator = DeviceGenerator(model, byte_level_tokenizer())
    with pytest.raises(PonderError, match=why):
        generator.generate(PROMPTS[:1], 1, Sampling(max_completion_tokens=4), 0)
    assert not any("ponder" in name for name, _ in model.named_buffers())
